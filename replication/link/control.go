package link

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"antipode/replication"
)

// Scope says which links a Control applies to.
type Scope struct {
	// Peer is the receiving region; empty is every peer.
	Peer replication.Region
	// Group is the table group; empty is every table.
	Group string
}

// Control is a fault on purpose on the sending side of a link.
type Control struct {
	// Pause sends nothing; what is in flight finishes.
	Pause bool
	// Drop loses every batch before it is sent: each attempt fails, as over a cut
	// cable, and is counted and retried.
	Drop bool
	// Delay ships a record no sooner than this long after its commit.
	Delay time.Duration
}

// Controls is a region's faults on purpose. It outlives the links it governs:
// a link that starts later obeys it too. Safe for concurrent use; the zero value
// is ready.
type Controls struct {
	mu      sync.Mutex
	rules   map[Scope]Control
	changed chan struct{}
}

// Set puts c in force for scope, in place of scope's earlier one; the zero
// Control heals. Where scopes overlap, a link is paused or dropped if any says
// so and has the longest delay.
func (c *Controls) Set(scope Scope, ctl Control) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rules == nil {
		c.rules = map[Scope]Control{}
	}
	if ctl == (Control{}) {
		delete(c.rules, scope)
	} else {
		c.rules[scope] = ctl
	}
	c.announce()
}

// HealAll ends every fault.
func (c *Controls) HealAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules = nil
	c.announce()
}

// Rule is one Control in force.
type Rule struct {
	Scope
	Control
}

// List is what is in force, sorted by scope.
func (c *Controls) List() []Rule {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Rule, 0, len(c.rules))
	for scope := range maps.Keys(c.rules) {
		out = append(out, Rule{scope, c.rules[scope]})
	}
	slices.SortFunc(out, func(a, b Rule) int {
		if d := strings.Compare(string(a.Peer), string(b.Peer)); d != 0 {
			return d
		}
		return strings.Compare(a.Group, b.Group)
	})
	return out
}

func (c *Controls) announce() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// of is what governs one link now, and a channel closed at the next change.
func (c *Controls) of(peer replication.Region, group string) (Control, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum Control
	for scope, ctl := range c.rules {
		if scope.Peer != "" && scope.Peer != peer || scope.Group != "" && scope.Group != group {
			continue
		}
		sum.Pause = sum.Pause || ctl.Pause
		sum.Drop = sum.Drop || ctl.Drop
		sum.Delay = max(sum.Delay, ctl.Delay)
	}
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return sum, c.changed
}
