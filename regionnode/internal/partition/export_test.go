package partition

import "antipode/regionnode/table"

// Quiet tells whether no round is under way or due. Appends may be.
func (h *Host) Quiet() bool {
	for _, p := range h.Partitions() {
		if p.run.state.Load() != runIdle {
			return false
		}
	}
	return true
}

// Leased tells whether a replica would answer a strong read without asking
// anybody.
func (p *Partition) Leased() bool {
	r := p.role.Load()
	return r.ready && p.leased(r)
}

// CutLog has the raft log cut off at what is applied, whoever lacks it.
func (p *Partition) CutLog() {
	for start, at := uint64(0), p.Status().Applied; start < at; start, _ = p.storage.log.Start() {
		if p.onRound(p.host.ctx, func() {
			if r := p.role.Load(); r.ready && !p.truncating {
				p.truncateAt(r, p.state.Index)
			}
		}) != nil {
			return
		}
	}
}

// Stand has the replica stand for election at once, if it may.
func (p *Partition) Stand() { p.campaign() }

// Break has the host take a replica for corrupt.
func (h *Host) Break(id table.PartitionID) {
	p, _ := h.Partition(id)
	p.Condemn("test")
}
