package link

import (
	"context"
	"errors"
	"fmt"

	"antipode/replication"
)

// errClosed ends a Backfill of a Group that is closed.
var errClosed = errors.New("link: group is closed")

// Backfill ships snap's values with keys after after to peer, several batches in
// flight. progress is called with rising keys as their values become durable at
// the peer: a restarted back-fill goes on from there. A batch that fails is sent
// again until ctx is done; Controls hold back-fills too, but for Delay. It
// answers with how many values the peer put into its dead letters.
//
// Fix the log position of the link before the snapshot is taken: what is written
// meanwhile then comes over the link, and last-writer-wins sorts it out.
func (g *Group) Backfill(ctx context.Context, snap Snapshotter, peer replication.Region, after []byte, progress func(key []byte) error) (rejected uint64, err error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return 0, errClosed
	}
	g.work.Add(1)
	defer g.work.Done()
	p := newPeer(&g.cfg, peer, nil)
	if running := g.peers[peer]; running != nil {
		p = running.peer
	}
	g.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(errClosed) })()

	shipped := make(chan *backfilled, 4)
	go g.shipSnapshot(ctx, snap, p, after, shipped)
	for b := range shipped {
		<-b.done
		if err == nil {
			err = b.err
		}
		if err == nil && len(b.last) > 0 {
			rejected += uint64(b.ack.Rejected)
			if err = progress(b.last); err != nil {
				err = fmt.Errorf("keep the back-fill's progress: %w", err)
			}
		}
		if err != nil {
			cancel(err)
		}
	}
	return rejected, err
}

// backfilled is one page on its way, or the error that ended the reading.
type backfilled struct {
	last []byte // the page's last key
	ack  *Ack
	err  error
	done chan struct{}
}

// shipSnapshot reads pages and starts to ship them, as far ahead as out holds.
func (g *Group) shipSnapshot(ctx context.Context, snap Snapshotter, p *peer, after []byte, out chan<- *backfilled) {
	defer close(out)
	session, sequence := g.session(), uint64(0)
	for ctx.Err() == nil {
		b := &backfilled{done: make(chan struct{})}
		recs, err := snap.Next(ctx, after, g.cfg.BatchRecords, g.cfg.BatchBytes)
		if err != nil {
			b.err = fmt.Errorf("read the snapshot: %w", err)
		}
		if err != nil || len(recs) == 0 {
			close(b.done)
			out <- b
			return
		}
		after = recs[len(recs)-1].Key
		b.last = after
		sequence++
		batch := &Batch{
			Kind: Snapshot, Session: session, Sequence: sequence,
			From: g.cfg.Region, To: p.region, Source: snap.ID(), Records: recs,
		}
		go func() {
			defer close(b.done)
			b.ack, b.err = g.shipUntil(ctx, p, batch)
		}()
		out <- b
	}
	b := &backfilled{err: context.Cause(ctx), done: make(chan struct{})}
	close(b.done)
	out <- b
}

// shipUntil sends one batch until the peer has it or ctx is done.
func (g *Group) shipUntil(ctx context.Context, p *peer, b *Batch) (*Ack, error) {
	bytes := 0
	for i := range b.Records {
		bytes += replication.RecordSize(&b.Records[i])
	}
	for n := 1; ; n++ {
		ctl, change := g.cfg.Controls.of(p.region, b.Source.Group)
		if ctl.Pause {
			select {
			case <-change:
				continue
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		var ack *Ack
		err := errDropped
		if !ctl.Drop {
			ack, err = p.attempt(ctx, b, bytes)
		}
		switch {
		case err == nil, errors.Is(err, ErrResynchronise):
			return ack, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		g.cfg.Logger.Warn("back-fill fails", "group", b.Source.Group, "partition", b.Source.Partition, "peer", p.region, "err", err)
		select {
		case <-g.cfg.Clock.After(backoff(&g.cfg, n)):
		case <-change:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
