package partition

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
