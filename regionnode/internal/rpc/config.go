package rpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"runtime"
	"time"
)

// Identity is who a process says it is in the handshake, and, under mutual TLS,
// who its certificate says it is (see URI). Node is a node's name in its region,
// and free for others; an empty field is "not known yet", which a new
// node's or a function's Cluster may be.
type Identity struct {
	Cluster string `msgpack:"c,omitempty"`
	Region  string `msgpack:"r,omitempty"`
	Node    string `msgpack:"n,omitempty"`
}

// Config is what servers and pools are made of. The zero Config is a plain TCP
// server or pool without an identity, which talks to anyone.
type Config struct {
	// Self is said to the other side, which refuses another cluster's.
	Self Identity
	// TLS is the server's or the client's side, nil for plain TCP. Certificates
	// of antipode's own (Certificates) also prove the peer's Identity.
	TLS *tls.Config
	// Log may be nil.
	Log *slog.Logger

	// Clock is called for each handshake; what it returns is handed to the
	// peer's Observe, at most 64 bytes. An error of Observe refuses the
	// connection. Either may be nil.
	Clock   func() []byte
	Observe func(peer Identity, clock []byte) error

	// MaxMessage bounds one payload in bytes; 0 is 64 MiB.
	MaxMessage int
	// MaxCalls and MaxCallBytes bound the requests that a server works on at one
	// time; what comes beyond is refused unexecuted. 0 is 8192 and 512 MiB.
	MaxCalls     int
	MaxCallBytes int64

	// Dial opens a pool's connections; nil is TCP. Tests cut networks here.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// DialTimeout bounds dialing and the handshake together, on a server the
	// handshake; 0 is 5 s.
	DialTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause after a failed dial, in which
	// calls to the address fail at once; 0 is 10 ms and 1 s.
	MinBackoff, MaxBackoff time.Duration
	// IdleTimeout closes a pool's connection that carried nothing for so long; 0
	// is 2 min.
	IdleTimeout time.Duration
	// KeepAlive is how often a pool pings a peer that owes it answers; a peer
	// silent for three such times is given up. 0 is 3 s.
	KeepAlive time.Duration
	// WriteTimeout gives up a peer that accepts no bytes for so long; 0 is 20 s.
	WriteTimeout time.Duration
	// Connections is how many connections to one address share its calls; 0 is
	// one for each four processors, at most four.
	Connections int
	// QueueBytes bounds what waits to be written on one connection: Send drops
	// beyond it, Call waits. 0 is 16 MiB.
	QueueBytes int
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = func() []byte { return nil }
	}
	if c.Observe == nil {
		c.Observe = func(Identity, []byte) error { return nil }
	}
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	setDefault(&c.MaxMessage, 64<<20)
	setDefault(&c.MaxCalls, 8192)
	setDefault(&c.MaxCallBytes, 512<<20)
	setDefault(&c.DialTimeout, 5*time.Second)
	setDefault(&c.MinBackoff, 10*time.Millisecond)
	setDefault(&c.MaxBackoff, time.Second)
	setDefault(&c.IdleTimeout, 2*time.Minute)
	setDefault(&c.KeepAlive, 3*time.Second)
	setDefault(&c.WriteTimeout, 20*time.Second)
	setDefault(&c.Connections, defaultConnections())
	setDefault(&c.QueueBytes, 16<<20)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func defaultConnections() int { return min(4, max(1, runtime.GOMAXPROCS(0)/4)) }
