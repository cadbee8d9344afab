package transaction

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

// Region is where a coordinator's transactions happen. client.Client is one.
type Region interface {
	regionnode.Service
	regionnode.Participants
}

// Config is what a Coordinator is made of; Region and Clock must be given.
type Config struct {
	Region Region
	// Clock gives transactions their timestamps. It is the node's.
	Clock *hlc.Clock
	// Random numbers name transactions without a token, and tell coordinators
	// apart.
	Random func() uint64
	// Stalled lists the marks on this node's partitions of attempts that began
	// before a time in Unix nanoseconds. nil when there are none.
	Stalled func(before int64) []Stalled
	// Led lists the partitions of a table that this node leads. nil for none.
	Led func(table.ID) []table.PartitionID
	// Patience is how long an attempt may take before others finish it; 5 s when
	// 0.
	Patience time.Duration
	Log      *slog.Logger // discards
}

// Stalled is a key that an attempt has marked and left.
type Stalled struct {
	Table table.ID
	Key   []byte
	ID    regionnode.TransactionID
}

// Coordinator runs transactions. Its only state is the ledger's: any number of
// them may work in a region.
type Coordinator struct {
	cfg    Config
	ledger ledger
	ctx    context.Context
	cancel context.CancelFunc
	// background counts what ends rows after the client was answered; closed, and
	// mu, keep more from starting.
	background sync.WaitGroup
	mu         sync.Mutex
	closed     bool
	// swept is how far the sweep of each of the ledger's partitions has come;
	// sweeping guards it.
	sweeping sync.Mutex
	swept    map[table.PartitionID][]byte
	// sized are tables, by table.ID, that do no transaction in one step.
	sized sync.Map
}

var _ regionnode.Transactions = (*Coordinator)(nil)

// New makes a coordinator.
func New(cfg Config) *Coordinator {
	if cfg.Patience == 0 {
		cfg.Patience = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Stalled == nil {
		cfg.Stalled = func(int64) []Stalled { return nil }
	}
	if cfg.Led == nil {
		cfg.Led = func(table.ID) []table.PartitionID { return nil }
	}
	c := &Coordinator{cfg: cfg, ledger: ledger{region: cfg.Region}, swept: map[table.PartitionID][]byte{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close abandons what is under way, which others finish.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.background.Wait()
}

// bounded is a context for work that must go on when the client has gone, but
// not longer than it can be of use, nor than the coordinator.
func (c *Coordinator) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 6*c.cfg.Patience)
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// age is how long ago an attempt began, by this node's clock.
func (c *Coordinator) age(t hlc.Timestamp) time.Duration {
	return time.Duration(c.cfg.Clock.Physical() - t.Wall)
}

// canceled is the refusal of a transaction. At least one reason has a code.
func canceled(reasons []apierr.Reason) error {
	codes := make([]string, len(reasons))
	for i := range reasons {
		if reasons[i].Code == "" {
			reasons[i].Code = "None"
		}
		codes[i] = reasons[i].Code
	}
	return &apierr.Error{
		Code:    apierr.TransactionCanceled,
		Message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]",
		Reasons: reasons,
	}
}

// conflict is the reason of an item that another transaction is at work on.
func conflict() apierr.Reason {
	return apierr.Reason{Code: "TransactionConflict", Message: "Transaction is ongoing for the item"}
}

// outward is what a client may see of an error.
func (c *Coordinator) outward(err error) error {
	if err == nil || apierr.Of(err) != nil {
		return err
	}
	var stale *regionnode.Stale
	if errors.As(err, &stale) {
		return err
	}
	c.cfg.Log.Error("transaction failed", "error", err)
	return apierr.Internal()
}

// eachPart calls f for all parts at once and answers with the first error.
func eachPart(parts []part, f func(i int) error) error {
	errs := make([]error, len(parts))
	if len(parts) == 1 {
		return f(0)
	}
	var calls sync.WaitGroup
	for i := range parts {
		calls.Go(func() { errs[i] = f(i) })
	}
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// finish commits or cancels an attempt on all parts, again and again until it is
// done. A table that was dropped has nothing to finish.
func (c *Coordinator) finish(ctx context.Context, id regionnode.TransactionID, commit bool, parts []part) ([][]int64, error) {
	sizes := make([][]int64, len(parts))
	err := eachPart(parts, func(i int) error {
		r := regionnode.FinishRequest{Target: regionnode.Target{Table: parts[i].Table}, ID: id, Commit: commit, Keys: parts[i].Keys}
		for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
			resp, err := c.cfg.Region.Finish(ctx, &r)
			if err == nil {
				sizes[i] = resp.Collections
				return nil
			}
			if apierr.Is(err, apierr.ResourceNotFound) {
				return nil
			}
			if pause(ctx, wait) != nil {
				return err
			}
		}
	})
	return sizes, err
}
