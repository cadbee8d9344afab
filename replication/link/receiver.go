package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"antipode/replication"
)

// ReceiverConfig is what a Receiver is made of. Logger and Clock have defaults.
type ReceiverConfig struct {
	// Region is the own region, the only one batches may be addressed to.
	Region      replication.Region
	Sink        Sink
	DeadLetters DeadLetters
	Clock       Clock
	Logger      *slog.Logger
}

// Receiver checks what arrives and hands it to the Sink. It keeps no state, so
// every node of a region may have one and a batch may come to any of them.
type Receiver struct{ cfg ReceiverConfig }

// NewReceiver needs Region, Sink and DeadLetters.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	if cfg.Region == "" || cfg.Sink == nil || cfg.DeadLetters == nil {
		return nil, errors.New("link: ReceiverConfig needs Region, Sink and DeadLetters")
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Receiver{cfg}, nil
}

// Apply implements Applier. It errs only when ctx is done; every other failure
// is in the acknowledgement, so that the sender tells it from a broken line.
func (r *Receiver) Apply(ctx context.Context, b *Batch) (*Ack, error) {
	ack := &Ack{Session: b.Session, Sequence: b.Sequence}
	rejected, err := r.apply(ctx, b)
	switch {
	case err == nil:
		ack.Rejected = uint32(rejected)
		return ack, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("apply batch: %w", err)
	case errors.Is(err, ErrResynchronise):
		ack.Status = Resynchronise
	default:
		ack.Status = Failed
	}
	ack.Message = err.Error()
	r.cfg.Logger.Warn("batch not applied", "from", b.From, "group", b.Source.Group, "partition", b.Source.Partition,
		"records", len(b.Records), "err", err)
	return ack, nil
}

func (r *Receiver) apply(ctx context.Context, b *Batch) (rejected int, err error) {
	if b.To != r.cfg.Region || b.From == r.cfg.Region || b.From == "" {
		return 0, fmt.Errorf("batch from %q to %q came to %q", b.From, b.To, r.cfg.Region)
	}
	switch b.Kind {
	case Heartbeat:
		r.cfg.Sink.Closed(b.From, b.Marks)
		return 0, nil
	case Log, Snapshot:
	default:
		return 0, fmt.Errorf("%w: kind %d", ErrFormat, b.Kind)
	}
	records, letters := r.screen(b)
	if len(records) > 0 {
		d := Delivery{From: b.From, Source: b.Source, Snapshot: b.Kind == Snapshot, Records: records}
		rejections, err := r.cfg.Sink.Apply(ctx, d)
		if err != nil {
			return 0, err
		}
		for _, x := range rejections {
			if x.Index < 0 || x.Index >= len(records) {
				return 0, fmt.Errorf("sink rejected record %d of %d", x.Index, len(records))
			}
			letters = append(letters, r.letter(b, &records[x.Index], x.Reason))
		}
	}
	if len(letters) > 0 {
		if err := r.cfg.DeadLetters.Add(ctx, letters); err != nil {
			return 0, fmt.Errorf("keep %d dead letters: %w", len(letters), err)
		}
	}
	if !b.Closed.IsZero() {
		r.cfg.Sink.Closed(b.From, []Mark{{b.Source, b.Closed}})
	}
	return len(letters), nil
}

// screen keeps back what breaks the protocol (I5): a log's record of another
// origin would be applied where its origin's own link may never bring it again.
func (r *Receiver) screen(b *Batch) (ok []replication.Record, bad []DeadLetter) {
	wrong := func(rec *replication.Record) string {
		switch {
		case b.Kind == Log && (rec.Version.Region != b.From || rec.Cause == replication.ByReplica):
			return fmt.Sprintf("record of region %q, cause %d, in the log of %q", rec.Version.Region, rec.Cause, b.From)
		case rec.Version.Region == "" || rec.Version.Time.IsZero():
			return "record without a version"
		}
		return ""
	}
	for i := range b.Records {
		reason := wrong(&b.Records[i])
		switch {
		case reason != "":
			if bad == nil {
				ok = append(ok, b.Records[:i]...)
			}
			bad = append(bad, r.letter(b, &b.Records[i], reason))
		case bad != nil:
			ok = append(ok, b.Records[i])
		}
	}
	if bad == nil {
		return b.Records, nil
	}
	return ok, bad
}

func (r *Receiver) letter(b *Batch, rec *replication.Record, reason string) DeadLetter {
	r.cfg.Logger.Error("record refused", "from", b.From, "group", b.Source.Group, "partition", b.Source.Partition,
		"version", rec.Version.Time, "reason", reason)
	return DeadLetter{From: b.From, Source: b.Source, Record: *rec, Reason: reason, Time: r.cfg.Clock.Now()}
}
