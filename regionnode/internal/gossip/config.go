package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"antipode/regionnode/table"
)

// Scope is which pool a Pool is. Pools of different scopes, clusters or regions
// ignore one another's packets, even on the right port.
type Scope uint8

// The scopes.
const (
	RegionScope Scope = iota // the nodes of one region
	WideScope                // nodes of all regions
)

// Config of one pool.
type Config struct {
	Scope   Scope
	Cluster string // "antipode" when empty
	Region  string
	// Name is unique in the region and the same over restarts.
	Name string
	// Node is the member's id, 0 when the catalog has not given one yet.
	Node    table.NodeID
	Zone    string
	RPCAddr string // what members dial
	// Expect is how many nodes shall start the region together, this one among
	// them; 0 when it is none of them.
	Expect int

	// Bind is the address of the TCP and the UDP socket, port 0 for any;
	// "127.0.0.1:0" when empty. Advertise is what members are told instead.
	Bind, Advertise string
	// Seeds are tried until one answers, and again whenever the pool finds itself
	// alone. None is right for the first member.
	Seeds []string
	// Keyring holds AES keys of 16, 24 or 32 bytes: the first encrypts, all
	// decrypt. Without keys gossip is neither secret nor authentic.
	Keyring [][]byte
	// Local tightens the timers for members on one machine: a dead one is known
	// within a second or two.
	Local bool
	// Log takes Serf's own lines at debug; may be nil.
	Log *slog.Logger
}

// Tags that a member carries; their names and values share 512 bytes.
const (
	tagRegion = "g"
	tagZone   = "z"
	tagRPC    = "a"
	tagNode   = "n"
	tagExpect = "e"
)

func (c *Config) tags() map[string]string {
	tags := map[string]string{tagRegion: c.Region, tagRPC: c.RPCAddr}
	if c.Zone != "" {
		tags[tagZone] = c.Zone
	}
	if c.Node != 0 {
		tags[tagNode] = strconv.FormatUint(uint64(c.Node), 16)
	}
	if c.Expect > 0 {
		tags[tagExpect] = strconv.Itoa(c.Expect)
	}
	return tags
}

// nameSeparator stands between region and name in Serf's names, in which a slash
// would begin an address.
const nameSeparator = "."

// label is what packets of this pool start with.
func (c *Config) label() string {
	if c.Scope == WideScope {
		return c.Cluster
	}
	return c.Cluster + "/" + c.Region
}

func (c *Config) fill() error {
	if c.Cluster == "" {
		c.Cluster = "antipode"
	}
	if c.Bind == "" {
		c.Bind = "127.0.0.1:0"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var faults []error
	if c.Name == "" || strings.Contains(c.Name, "/") {
		faults = append(faults, fmt.Errorf("name %q", c.Name))
	}
	if c.Region == "" || strings.ContainsAny(c.Region, "/"+nameSeparator) {
		faults = append(faults, fmt.Errorf("region %q", c.Region))
	}
	if n := len(c.label()); n > memberlist.LabelMaxSize {
		faults = append(faults, fmt.Errorf("cluster and region of %d bytes", n))
	}
	return errors.Join(faults...)
}

// serfConfig turns c into Serf's configuration, with its events in events.
func (c *Config) serfConfig(events chan<- serf.Event, log *lines) (*serf.Config, error) {
	conf := serf.DefaultConfig()
	conf.NodeName = c.Region + nameSeparator + c.Name
	conf.Tags = c.tags()
	conf.EventCh = events
	conf.LogOutput = nil
	conf.Logger = log.logger()
	// The one who loses a name conflict would shut itself down on the word of
	// unproven packets.
	conf.EnableNameConflictResolution = false
	conf.DisableCoordinates = c.Scope == RegionScope
	// Nobody sends user events or queries: their buffers can be small.
	conf.EventBuffer, conf.QueryBuffer = 16, 16

	list := memberlist.DefaultLANConfig()
	if c.Scope == WideScope {
		list = memberlist.DefaultWANConfig()
	}
	if c.Local {
		localTimers(conf, list)
	}
	list.Logger = conf.Logger
	list.LogOutput = nil
	list.Label = c.label()
	// A member that was declared dead may come back under another address.
	list.DeadNodeReclaimTime = list.ProbeInterval
	list.DNSConfigPath = ""
	if err := c.addresses(list); err != nil {
		return nil, err
	}
	if len(c.Keyring) > 0 {
		ring, err := memberlist.NewKeyring(c.Keyring, c.Keyring[0])
		if err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
		list.Keyring = ring
	}
	conf.MemberlistConfig = list
	return conf, nil
}

func localTimers(conf *serf.Config, list *memberlist.Config) {
	conf.BroadcastTimeout = 500 * time.Millisecond
	conf.LeavePropagateDelay = 100 * time.Millisecond
	conf.ReconnectInterval = time.Second
	list.TCPTimeout = time.Second
	list.ProbeInterval = 250 * time.Millisecond
	list.ProbeTimeout = 100 * time.Millisecond
	list.SuspicionMult = 2
	list.SuspicionMaxTimeoutMult = 2
	list.GossipInterval = 50 * time.Millisecond
	list.GossipToTheDeadTime = 5 * time.Second
	list.PushPullInterval = 2 * time.Second
	list.RetransmitMult = 2
	list.IndirectChecks = 1
	list.HandoffQueueDepth = 128
}

func (c *Config) addresses(list *memberlist.Config) error {
	var err error
	if list.BindAddr, list.BindPort, err = splitAddr(c.Bind); err != nil {
		return fmt.Errorf("bind address: %w", err)
	}
	list.AdvertisePort = list.BindPort
	if c.Advertise == "" {
		return nil
	}
	if list.AdvertiseAddr, list.AdvertisePort, err = splitAddr(c.Advertise); err != nil {
		return fmt.Errorf("advertised address: %w", err)
	}
	return nil
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q", text)
	}
	return host, int(n), nil
}
