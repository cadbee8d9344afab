package replicationtest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A deletion that every region has may still be lost: to a write that had not
// seen it, is newer, and is on its way. Its origin must not forget it before.
func TestDeletionLostToAWriteUnderWay(t *testing.T) {
	for _, bug := range []Bug{NoBug, DropUnjudged} {
		synctest.Test(t, func(t *testing.T) {
			lost, dropped, err := deleteAgainstSlowWrite(t, newSimulation(Options{Seed: 1, Bug: bug}))
			if found := err == nil && lost == 1; found != (bug == NoBug) {
				t.Errorf("bug %d: %d lost, %v", bug, lost, err)
			}
			if wants := bug == DropUnjudged; dropped != wants {
				t.Errorf("bug %d: deletion forgotten before the write came: %v", bug, dropped)
			}
		})
	}
}

// deleteAgainstSlowWrite deletes a key at home while away, whose clock is fast,
// puts it; the put takes long to come home.
func deleteAgainstSlowWrite(t *testing.T, sim *simulation) (lost int, dropped bool, err error) {
	home := &region{sim: sim, name: "eu-west-1", parts: 1, rng: sim.rand("home")}
	away := &region{sim: sim, name: "us-east-1", parts: 1, rng: sim.rand("away")}
	away.skew.Store(int64(maxSkew))
	for _, r := range []*region{home, away} {
		sim.names = append(sim.names, r.name)
		sim.regions[r.name] = r
	}
	sim.net = newNetwork(sim)
	ctx, cancel := context.WithCancel(t.Context())
	defer func() {
		cancel()
		synctest.Wait()
		home.crash()
		away.crash()
		sim.net.work.Wait()
	}()
	for _, r := range []*region{home, away} {
		if err := r.start(); err != nil {
			t.Fatal(err)
		}
		go sim.collect(ctx, r)
	}
	time.Sleep(time.Second) // simulated: both know each other's closed times
	put := make(chan error)
	sim.net.set(away.name, home.name, func(w *wire) { w.latency = time.Second })
	go func() { _, err := away.current().store.write(ctx, "key", "value", false); put <- err }()
	if _, err := home.current().store.write(ctx, "key", "", true); err != nil {
		t.Fatal(err)
	}
	if err := <-put; err != nil {
		t.Fatal(err)
	}
	time.Sleep(900 * time.Millisecond) // simulated: the put is not there yet
	_, kept := home.durable().cells["key"]
	if err := sim.settle(); err != nil {
		t.Fatal(err)
	}
	lost, err = sim.checkLedgers()
	return lost, !kept, err
}
