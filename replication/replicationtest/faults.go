package replicationtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"antipode/replication"
	"antipode/replication/link"
)

// faults does harm until ctx is done, and checks links in between.
func (sim *simulation) faults(ctx context.Context) (crashes int) {
	rng := sim.rand("faults")
	region := func() *region { return sim.regions[sim.names[rng.IntN(len(sim.names))]] }
	for sleep(ctx, time.Duration(rng.Int64N(int64(120*time.Millisecond)))) == nil {
		r, peer := region(), region()
		switch rng.IntN(10) {
		case 0, 1:
			sim.net.set(r.name, peer.name, func(w *wire) { w.cut = !w.cut })
		case 2, 3:
			sim.disturb(rng, r.name, peer.name)
		case 4:
			sim.net.heal()
		case 5:
			if r.current() == nil {
				if err := r.start(); err != nil {
					sim.fail(err)
				}
				continue
			}
			crashes++
			r.crash()
		case 6:
			r.controls.Set(link.Scope{Peer: peer.name}, []link.Control{
				{}, {Pause: true}, {Drop: true}, {Delay: 100 * time.Millisecond},
			}[rng.IntN(4)])
		case 7:
			r.skew.Store(rng.Int64N(int64(2*maxSkew)) - int64(maxSkew))
		case 8:
			l := r.current()
			if l == nil {
				continue
			}
			if rng.IntN(2) == 0 {
				l.lead()
				continue
			}
			_ = l.store.do(ctx, op{part: rng.IntN(r.parts), roll: true}) // fails only when the region is down
		case 9:
			if err := sim.heal(); err != nil {
				sim.fail(err)
			}
			_ = sleep(ctx, 400*time.Millisecond) // the loop ends with ctx
		}
		sim.checkLinks()
	}
	return crashes
}

// heal ends every fault and starts what is down.
func (sim *simulation) heal() error {
	sim.net.heal()
	for _, name := range sim.names {
		r := sim.regions[name]
		r.controls.HealAll()
		if r.current() == nil {
			if err := r.start(); err != nil {
				return fmt.Errorf("start %s: %w", name, err)
			}
		}
	}
	return nil
}

func (sim *simulation) disturb(rng *rand.Rand, from, to replication.Region) {
	latency := time.Duration(1+rng.IntN(100)) * time.Millisecond
	lose, loseAck, twice, flip := rng.Float64()/3, rng.Float64()/3, rng.Float64()/2, rng.Float64()/10
	sim.net.set(from, to, func(w *wire) {
		w.latency, w.lose, w.loseAck, w.twice, w.flip = latency, lose, loseAck, twice, flip
	})
}
