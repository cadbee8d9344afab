package transaction

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
	"antipode/replication/hlc"
)

// The attributes of a ledger row.
const (
	rowAttribute   = "id"
	stateAttribute = "state" // state, time: what changes are conditional on
	bodyAttribute  = "body"  // the rest, msgpack
)

// row is one transaction in the ledger.
type row struct {
	protocol.Row
	body
}

// body is what no decision depends on.
type body struct {
	// Nonce tells whose attempt it is when two coordinators work on one token.
	Nonce uint64 `msgpack:"n"`
	// Parts are the items, without what is written to them.
	Parts []part `msgpack:"p,omitempty"`
	// Token: the row answers for a request token until Ended plus tokenLife.
	Token  bool   `msgpack:"t,omitempty"`
	Digest []byte `msgpack:"d,omitempty"`
	// Ended is when the transaction was over, in Unix milliseconds.
	Ended  int64              `msgpack:"e,omitempty"`
	Usages []regionnode.Usage `msgpack:"u,omitempty"`
}

// part is the items of one table.
type part struct {
	Table table.ID `msgpack:"t"`
	Keys  [][]byte `msgpack:"k"`
}

// tokenLife is how long a request token is good after its transaction ended.
const tokenLife = 10 * time.Minute

// errMoved says that a row was not as a change expected; nothing was written.
var errMoved = errors.New("ledger row has changed")

// ledger reads and writes rows through the region's own tables.
type ledger struct {
	region Region
	mu     sync.Mutex
	d      *table.Descriptor
}

// descriptor finds the ledger, and makes it when the region has none yet.
func (l *ledger) descriptor(ctx context.Context) (*table.Descriptor, error) {
	l.mu.Lock()
	d := l.d
	l.mu.Unlock()
	if d != nil {
		return d, nil
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		d, err := l.region.DescribeTable(ctx, table.Ledger)
		switch {
		case err == nil && d.Status == table.Active:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.d = d
			return d, nil
		case apierr.Is(err, apierr.ResourceNotFound):
			err = l.create(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("find the ledger of transactions: %w", err)
		}
		if err := pause(ctx, wait); err != nil {
			return nil, fmt.Errorf("wait for the ledger of transactions: %w", err)
		}
	}
}

// create makes the ledger; another node may have been faster.
func (l *ledger) create(ctx context.Context) error {
	_, err := l.region.CreateTable(ctx, &regionnode.CreateTableRequest{Descriptor: table.Descriptor{
		Name:       table.Ledger,
		Attributes: []table.Attribute{{Name: rowAttribute, Type: "S"}},
		Key:        table.KeySchema{Hash: []string{rowAttribute}}, BillingMode: "PAY_PER_REQUEST", Protected: true,
	}})
	if apierr.Is(err, apierr.ResourceInUse) {
		return nil
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *ledger) key(ctx context.Context, id string) (table.ID, item.Item, []byte, error) {
	d, err := l.descriptor(ctx)
	if err != nil {
		return 0, nil, nil, err
	}
	it := item.Make([]item.Field{{Name: rowAttribute, Value: item.Str(id)}})
	key, err := d.Key.Key(nil, it)
	return d.ID, it, key, err
}

// read finds a row; nil when there is none.
func (l *ledger) read(ctx context.Context, id string) (*row, error) {
	t, _, key, err := l.key(ctx, id)
	if err != nil {
		return nil, err
	}
	resp, err := l.region.Get(ctx, &regionnode.GetRequest{Target: regionnode.Target{Table: t}, Key: key, Consistent: true})
	if err != nil {
		return nil, fmt.Errorf("read ledger row %s: %w", id, err)
	}
	if resp.Item == nil {
		return nil, nil
	}
	_, r, err := decodeRow(resp.Item)
	return r, err
}

func decodeRow(image item.Encoded) (id string, r *row, err error) {
	it, err := image.Decode()
	if err != nil {
		return "", nil, fmt.Errorf("ledger row: %w", err)
	}
	key, _ := it.Get(rowAttribute)
	state, _ := it.Get(stateAttribute)
	rest, _ := it.Get(bodyAttribute)
	r = new(row)
	if s := state.Text(); len(s) == 1+hlc.Size {
		r.State = protocol.State(s[0])
		if r.Time, err = hlc.Decode([]byte(s[1:])); err != nil {
			return "", nil, fmt.Errorf("ledger row %s: %w", key.Text(), err)
		}
	}
	if err := msgpack.Unmarshal([]byte(rest.Text()), &r.body); err != nil {
		return "", nil, fmt.Errorf("ledger row %s: %w", key.Text(), err)
	}
	return key.Text(), r, nil
}

func stateValue(r protocol.Row) item.Value {
	return item.Bin(string(r.Time.Append([]byte{byte(r.State)})))
}

// is is the condition that a row is as it was seen, or that there is none.
func is(old *row) (*expr.Condition, error) {
	name, args := "attribute_not_exists", []expr.Tree{expr.PathTree(expr.Path{Name: rowAttribute})}
	if old != nil {
		name, args = "=", []expr.Tree{expr.PathTree(expr.Path{Name: stateAttribute}), expr.ValueTree(stateValue(old.Row))}
	}
	t, err := expr.Operation(name, args...)
	return t.Condition(), err
}

// change replaces a row that must be as old was seen, nil for none, by next;
// nil removes it. errMoved says that it was not; any other error leaves the
// outcome unknown.
func (l *ledger) change(ctx context.Context, id string, old, next *row) error {
	if old != nil && next != nil && !old.May(next.Row) {
		return fmt.Errorf("ledger row %s may not go from state %d to %d", id, old.State, next.State)
	}
	t, it, key, err := l.key(ctx, id)
	if err != nil {
		return err
	}
	w := regionnode.Write{Op: regionnode.DeleteOp, Key: key}
	if w.Condition, err = is(old); err != nil {
		return err
	}
	if next != nil {
		rest, err := msgpack.Marshal(&next.body)
		if err != nil {
			return fmt.Errorf("encode ledger row %s: %w", id, err)
		}
		w.Op = regionnode.PutOp
		w.Item = it.Set(stateAttribute, stateValue(next.Row)).Set(bodyAttribute, item.Bin(string(rest))).Encode()
	}
	_, err = l.region.Write(ctx, &regionnode.WriteRequest{Target: regionnode.Target{Table: t}, Write: w})
	if apierr.Is(err, apierr.ConditionalCheckFailed) {
		return errMoved
	}
	if err != nil {
		return fmt.Errorf("write ledger row %s: %w", id, err)
	}
	return nil
}
