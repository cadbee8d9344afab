package partition

import (
	"context"
	"errors"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/item"
	"antipode/replication"
	"antipode/replication/hlc"
)

// ApplyRemote applies records of other regions. Of two versions of a key the
// newer stays, decided in the same step as the write, so that records may come
// twice, late and in any order (I5). nil means that all of them are durable
// (I1): applied, beaten by something newer, or parked because their clock is too
// far ahead (I12). After an error, send all of them again.
func (p *Partition) ApplyRemote(ctx context.Context, recs []replication.Record) error {
	if err := p.awaitIndexes(ctx); err != nil {
		return err
	}
	v := p.view()
	todo := make([]int, len(recs))
	for i := range recs {
		if !v.spec.hashes().Contains(recs[i].Key) {
			return p.stale("record lies outside")
		}
		if !recs[i].Delete && item.Encoded(recs[i].New).Len() == 0 {
			return fmt.Errorf("record %v of another region has no image", recs[i].Version)
		}
		todo[i] = i
	}
	for len(todo) > 0 {
		var round []int
		round, todo = distinct(todo, func(i int) string { return string(recs[i].Key) })
		for {
			err := p.remoteRound(ctx, recs, round)
			if err == nil {
				break
			}
			if resolved, err := p.awaitResolved(ctx, err); err != nil {
				return err
			} else if resolved {
				continue
			}
			// Applying a record twice changes nothing, so an unknown outcome may be
			// tried again (I10).
			if !errors.Is(err, errNotApplied) && !errors.Is(err, errUnknown) {
				return err
			}
		}
	}
	return nil
}

// remoteRound applies records of distinct keys, given in key order.
func (p *Partition) remoteRound(ctx context.Context, recs []replication.Record, round []int) error {
	var props []*proposal
	for _, i := range round {
		key := string(recs[i].Key)
		if err := p.latches.acquire(ctx, key); err != nil {
			p.discard(props)
			return err
		}
		prop, err := p.evaluateRemote(ctx, &recs[i], nil)
		if err != nil {
			p.latches.release(key)
			p.discard(props)
			return err
		}
		if prop == nil {
			p.latches.release(key)
			continue
		}
		prop.latched = []string{key}
		props = append(props, prop)
	}
	if len(props) == 0 {
		return nil
	}
	if err := p.submit(props...); err != nil {
		return err
	}
	var first error
	for _, prop := range props {
		if err := prop.await(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// evaluateRemote decides one record whose key is latched; a nil proposal means
// that something newer, or the record itself, is stored. parked is the key under
// which the record waited, nil when it did not.
func (p *Partition) evaluateRemote(ctx context.Context, rec *replication.Record, parked []byte) (*proposal, error) {
	r, err := p.leading(ctx)
	if err != nil {
		return nil, err
	}
	if m := p.marked(rec.Key); m != nil {
		return nil, &markedError{m}
	}
	e := evaluation{p: p, view: p.view(), key: rec.Key}
	if !e.view.spec.hashes().Contains(rec.Key) {
		return nil, p.stale("record lies outside")
	}
	if err := p.host.cfg.Clock.Update(rec.Version.Time); err != nil {
		var ahead *hlc.OffsetError
		if errors.As(err, &ahead) {
			return e.park(rec, r)
		}
		return nil, err
	}
	defer e.close()
	if err := e.load(); err != nil {
		return nil, err
	}
	var prop *proposal
	if e.old.Version.Compare(rec.Version) < 0 {
		if prop, err = e.remote(rec); err != nil {
			return nil, err
		}
	}
	if parked != nil {
		if prop == nil {
			prop = &proposal{view: e.view, stamp: noStamp, done: make(chan error, 1)}
		}
		prop.effects = appendKeyed(prop.effects, unparkEffect, parked)
	}
	if prop != nil {
		prop.term = r.term
	}
	return prop, nil
}

// remote makes the proposal of a record that wins.
func (e *evaluation) remote(rec *replication.Record) (*proposal, error) {
	e.new = rec.New
	if rec.Delete {
		e.new = nil
	}
	return e.propose(replication.ByReplica, rec.Version, rec.Context, new(regionnode.Usage))
}
