package partition

import (
	"maps"
	"slices"
	"sync"

	"antipode/regionnode/table"
)

// attention knows which of a host's partitions are worth a look, so that what is
// done each second costs what has happened, not what there is: a node holds
// thousands of partitions, of which most do nothing.
type attention struct {
	mu sync.Mutex
	// led are the partitions that this node leads and that may evaluate.
	led map[*Partition]struct{}
	// touched have changed since the last TakeTouched, each once.
	touched []*Partition
	// marked are the partitions that transactions have marked keys of.
	marked map[*Partition]struct{}
	// specs counts changes of what partitions there are and of their descriptors,
	// leads those of what is led; peers are as of peersAt.
	specs, leads, peersAt uint64
	peers                 []table.NodeID
}

// touch notes that a partition has changed, or serves.
func (a *attention) touch(p *Partition) {
	if p.touched.Swap(true) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.touched = append(a.touched, p)
}

// lead notes whether a partition is led here.
func (a *attention) lead(p *Partition, ready bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leads++
	if !ready {
		delete(a.led, p)
		return
	}
	if a.led == nil {
		a.led = map[*Partition]struct{}{}
	}
	a.led[p] = struct{}{}
}

// mark notes that keys of a partition are marked, or that none is any more. The
// partition's transactions.mu is held.
func (a *attention) mark(p *Partition, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !on:
		delete(a.marked, p)
	case a.marked == nil:
		a.marked = map[*Partition]struct{}{p: {}}
	default:
		a.marked[p] = struct{}{}
	}
}

// respecified notes that a partition came or went, or has another descriptor.
func (a *attention) respecified() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.specs++
}

// TakeTouched answers with the partitions whose Status may differ from that at
// the last call, among them those that have been destroyed since; one call at a
// time. What changes during the call comes with the next.
func (h *Host) TakeTouched() []*Partition {
	h.attention.mu.Lock()
	out := h.attention.touched
	h.attention.touched = nil
	h.attention.mu.Unlock()
	for _, p := range out {
		p.touched.Store(false)
	}
	return out
}

// Led are the partitions that this node leads now, in no order.
func (h *Host) Led() []*Partition {
	h.attention.mu.Lock()
	defer h.attention.mu.Unlock()
	out := make([]*Partition, 0, len(h.attention.led))
	for p := range h.attention.led {
		out = append(out, p)
	}
	return out
}

// Marked are the partitions that transactions may have marked keys of.
func (h *Host) Marked() []*Partition {
	h.attention.mu.Lock()
	defer h.attention.mu.Unlock()
	return slices.Collect(maps.Keys(h.attention.marked))
}

// Count is how many partitions this host holds, and how many of them it leads.
func (h *Host) Count() (held, led int) {
	h.mu.RLock()
	held = len(h.partitions)
	h.mu.RUnlock()
	h.attention.mu.Lock()
	defer h.attention.mu.Unlock()
	return held, len(h.attention.led)
}

// Respecified is another number when a partition has come, gone or changed its
// descriptor.
func (h *Host) Respecified() uint64 {
	h.attention.mu.Lock()
	defer h.attention.mu.Unlock()
	return h.attention.specs
}

// LedChanged is another number when Led, or the descriptor of any partition, is
// another.
func (h *Host) LedChanged() uint64 {
	h.attention.mu.Lock()
	defer h.attention.mu.Unlock()
	return h.attention.specs + h.attention.leads
}

// Peers are the other nodes that hold replicas of this host's partitions, in
// order. The caller must not change them.
func (h *Host) Peers() []table.NodeID {
	a := &h.attention
	a.mu.Lock()
	if a.peersAt == a.specs && a.peers != nil {
		defer a.mu.Unlock()
		return a.peers
	}
	at := a.specs
	a.mu.Unlock()
	peers := []table.NodeID{}
	for _, p := range h.Partitions() {
		spec := p.Spec()
		for _, members := range [][]table.NodeID{spec.Members, spec.Learners, spec.Outgoing} {
			for _, m := range members {
				if m != h.cfg.Node && !slices.Contains(peers, m) {
					peers = append(peers, m)
				}
			}
		}
	}
	slices.Sort(peers)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peers, a.peersAt = peers, at
	return peers
}
