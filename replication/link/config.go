package link

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"antipode/replication"
)

// Config is what a Group is made of. Region and Transport must be set; every
// other zero value has a default.
type Config struct {
	// Region is the own region: the origin of all that is shipped.
	Region    replication.Region
	Transport Transport
	// Controls are obeyed by every link; nil is none.
	Controls *Controls
	// Clock is the system's by default.
	Clock  Clock
	Logger *slog.Logger
	// Rand draws jitter from [0, 1); math/rand/v2's by default. Called
	// from many goroutines.
	Rand func() float64
	// Shipped is called for each acknowledged Log batch, quickly; nil is nobody.
	Shipped func(Shipment)

	// BatchRecords and BatchBytes bound one batch: 1,000 and 512 KiB by default.
	BatchRecords, BatchBytes int
	// Window and WindowBytes bound what one link has in flight: 16 batches, and
	// one batch above 4 MiB, by default.
	Window, WindowBytes int
	// PeerBytes bounds what all links to one peer have in flight: 32 MiB by
	// default. Links take turns by batches.
	PeerBytes int
	// SendTimeout ends one attempt: 30 s by default.
	SendTimeout time.Duration
	// RetryMin and RetryMax bound the back-off: 20 ms and 5 s by default.
	RetryMin, RetryMax time.Duration
	// AcknowledgeInterval is the least time between two durable moves of one
	// link's position: 100 ms by default.
	AcknowledgeInterval time.Duration
	// HeartbeatInterval is how often a peer hears closed times that no batch told
	// it: 1 s by default.
	HeartbeatInterval time.Duration
}

func (c *Config) fill() error {
	if c.Region == "" || c.Transport == nil {
		return fmt.Errorf("link: Config needs Region and Transport")
	}
	if c.Controls == nil {
		c.Controls = &Controls{}
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	def(&c.BatchRecords, 1000)
	def(&c.BatchBytes, 512<<10)
	def(&c.Window, 16)
	def(&c.WindowBytes, 4<<20)
	def(&c.PeerBytes, 32<<20)
	def(&c.SendTimeout, 30*time.Second)
	def(&c.RetryMin, 20*time.Millisecond)
	def(&c.RetryMax, 5*time.Second)
	def(&c.AcknowledgeInterval, 100*time.Millisecond)
	def(&c.HeartbeatInterval, time.Second)
	return nil
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
