package partition

import (
	"context"
	"errors"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/keys"
)

func keyOf(v *view, key []byte) []byte { return keys.Data(v.spec.Table, 0, key) }

// Write evaluates and applies one write; see regionnode.Data.
func (p *Partition) Write(ctx context.Context, r *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	if err := p.awaitIndexes(ctx); err != nil {
		return nil, p.outward(err)
	}
	for {
		resp, err := p.writeOnce(ctx, r)
		if !errors.Is(err, errNotApplied) {
			if err == nil {
				p.linger(ctx)
			}
			return resp, p.outward(err)
		}
	}
}

// outward turns a fault of ours into what a client may see, and logs it.
func (p *Partition) outward(err error) error {
	if err == nil || apierr.Of(err) != nil {
		return err
	}
	var stale *regionnode.Stale
	var notLeader *regionnode.NotLeader
	switch {
	case errors.As(err, &stale), errors.As(err, &notLeader):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if pebble.IsCorruptionError(err) {
		if p.corrupt(err); !p.solo() {
			// Found before anything was proposed, so another member may answer.
			return &regionnode.NotLeader{Partition: p.id}
		}
	}
	p.host.cfg.Log.Error("request failed", "partition", p.id, "error", err)
	return apierr.Internal()
}

// writeOnce is one attempt; errNotApplied means that another is due.
func (p *Partition) writeOnce(ctx context.Context, r *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	if _, err := p.checkKey(&r.Target, r.Write.Key); err != nil {
		return nil, err
	}
	key := string(r.Write.Key)
	if err := p.latches.acquire(ctx, key); err != nil {
		return nil, err
	}
	term := p.role.Load().term
	prop, resp, err := p.evaluate(ctx, &r.Target, &r.Write)
	if err != nil || prop == nil {
		p.latches.release(key)
		return resp, p.confirmed(ctx, &r.Target, term, err)
	}
	prop.latched = []string{key}
	if err := p.submit(prop); err != nil {
		return nil, err
	}
	if err := prop.await(ctx); err != nil {
		return nil, err
	}
	resp.Usage.Collection = prop.collection
	return resp, nil
}

// evaluate evaluates one write whose latch is held.
func (p *Partition) evaluate(ctx context.Context, t *regionnode.Target, w *regionnode.Write) (*proposal, *regionnode.WriteResponse, error) {
	r, err := p.leading(ctx)
	if err != nil {
		return nil, nil, err
	}
	p.noteRequest(w.Key)
	// Taken after the role: a descriptor in force then is in force for the term.
	v, err := p.checkKey(t, w.Key)
	if err != nil {
		return nil, nil, err
	}
	if v.schema.leaving {
		return nil, nil, apierr.NotFound()
	}
	if p.marked(w.Key) != nil {
		return nil, nil, errConflict()
	}
	e := evaluation{p: p, view: v, key: w.Key}
	defer e.close()
	if err := e.load(); err != nil {
		return nil, nil, err
	}
	prop, resp, err := e.evaluate(w)
	if prop != nil {
		prop.term = r.term
	}
	return prop, resp, err
}

// confirmed lets an answer that was read, not written, out only while this
// replica still leads as it did, in the same term and over the same range, before
// it read (I9). err is the answer itself.
func (p *Partition) confirmed(ctx context.Context, t *regionnode.Target, term uint64, err error) error {
	if err != nil && apierr.Of(err) == nil {
		return err
	}
	if lost := p.confirm(ctx); lost != nil {
		return lost
	}
	if r := p.role.Load(); r.term != term {
		return errNotApplied // another one led in between
	}
	if _, moved := p.check(t); moved != nil {
		return moved
	}
	return err
}

// BatchWrite does many writes; see regionnode.Data. Writes of one key are done
// in the order given.
func (p *Partition) BatchWrite(ctx context.Context, r *regionnode.BatchWriteRequest) (*regionnode.BatchWriteResponse, error) {
	if _, err := p.check(&r.Target); err != nil {
		return nil, err
	}
	if err := p.awaitIndexes(ctx); err != nil {
		return nil, p.outward(err)
	}
	out := &regionnode.BatchWriteResponse{Results: make([]regionnode.WriteResult, len(r.Writes))}
	todo := make([]int, len(r.Writes))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		var round []int
		round, todo = distinct(todo, func(i int) string { return string(r.Writes[i].Key) })
		for len(round) > 0 {
			var err error
			if round, err = p.writeRound(ctx, r, round, out.Results); err != nil {
				return nil, p.outward(err)
			}
		}
	}
	p.linger(ctx)
	return out, nil
}

// distinct splits indexes into one of each key, in key order, and the rest.
func distinct(todo []int, key func(int) string) (round, rest []int) {
	seen := make(map[string]bool, len(todo))
	for _, i := range todo {
		if k := key(i); !seen[k] {
			seen[k] = true
			round = append(round, i)
		} else {
			rest = append(rest, i)
		}
	}
	sort.Slice(round, func(a, b int) bool { return key(round[a]) < key(round[b]) })
	return round, rest
}

// writeRound does writes of distinct keys, given in key order, and fills in
// their results. It answers with those that have to be evaluated anew.
func (p *Partition) writeRound(ctx context.Context, r *regionnode.BatchWriteRequest, round []int, results []regionnode.WriteResult) (again []int, err error) {
	term := p.role.Load().term
	props := make([]*proposal, len(round))
	var submitted []*proposal
	for n, i := range round {
		w, res := &r.Writes[i], &results[i]
		key := string(w.Key)
		if err := p.latches.acquire(ctx, key); err != nil {
			p.discard(submitted)
			return nil, err
		}
		prop, resp, err := p.evaluate(ctx, &r.Target, w)
		if err != nil || prop == nil {
			p.latches.release(key)
			res.Response, res.Error = resp, p.writeError(err)
			continue
		}
		prop.latched = []string{key}
		res.Response, props[n] = resp, prop
		submitted = append(submitted, prop)
	}
	if len(submitted) == 0 {
		if err := p.confirm(ctx); err != nil {
			return nil, err
		}
		if p.role.Load().term != term {
			return round, nil // another one led in between
		}
		if _, moved := p.check(&r.Target); moved != nil {
			for _, i := range round {
				results[i] = regionnode.WriteResult{Error: p.writeError(moved)}
			}
		}
		return nil, nil
	}
	refused := p.submit(submitted...)
	for n, i := range round {
		prop, res := props[n], &results[i]
		if prop == nil {
			continue
		}
		err := refused
		if err == nil {
			err = prop.await(ctx)
		}
		if errors.Is(err, errNotApplied) {
			again = append(again, i)
			continue
		}
		if res.Error = p.writeError(err); res.Error != nil {
			res.Response = nil
			continue
		}
		res.Response.Usage.Collection = prop.collection
	}
	return again, nil
}

// discard gives the latches of proposals back that are not submitted.
func (p *Partition) discard(ws []*proposal) {
	for _, w := range ws {
		w.release(p)
	}
}

// writeError words the error of one element of a batch.
func (p *Partition) writeError(err error) *regionnode.WriteError {
	if err == nil {
		return nil
	}
	var stale *regionnode.Stale
	var notLeader *regionnode.NotLeader
	if errors.Is(err, errNotApplied) || errors.As(err, &stale) || errors.As(err, &notLeader) ||
		apierr.Is(err, apierr.TransactionConflict) {
		return &regionnode.WriteError{Retry: err.Error()}
	}
	if api := apierr.Of(p.outward(err)); api != nil {
		return &regionnode.WriteError{API: api}
	}
	return &regionnode.WriteError{API: apierr.Internal()}
}
