package catalog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/ring"
	"antipode/regionnode/table"
)

// Config is what a Catalog is made of. KV and Region must be given.
type Config struct {
	// KV is this node's replica of the system partition.
	KV KV
	// Region is this region's name.
	Region string
	// Account owns tables whose creator named none; 12 digits, default zeros.
	Account string
	// Partitions of a table whose creator named no number; default 1.
	Partitions int
	// Replication is how many nodes hold each partition, where there are as many;
	// default 1.
	Replication int
	// Abroad reaches the other regions; nil where there are none.
	Abroad Abroad
	// Clock and Random (UUIDs) default to the system's.
	Clock  func() time.Time
	Random io.Reader
	// Log may be nil.
	Log *slog.Logger
}

// Abroad is what a catalog asks of other regions while it answers a request.
type Abroad interface {
	// Names are the regions of the deployment, this one included, in order.
	Names() []string
	// Describe is DescribeTable in another region.
	Describe(ctx context.Context, region, name string) (*table.Descriptor, error)
	// Update hands a change of a global table to the region that orders them.
	Update(ctx context.Context, region string, r *GlobalUpdate) (*table.Descriptor, error)
}

// GlobalUpdate is a change of a global table on its way to the table's home.
type GlobalUpdate struct {
	// From is the region whose client asked, Group the global table.
	From  string `msgpack:"f"`
	Group string `msgpack:"g"`
	// Update's Descriptor carries the synchronised settings as they shall be.
	Update regionnode.UpdateTableRequest `msgpack:"u"`
}

// Catalog is the Registry on a node that holds a replica of the system
// partition. Where that replica does not lead, every call answers
// *regionnode.NotLeader. It is safe for concurrent use.
type Catalog struct {
	cfg Config
	tag uint16

	// writing is held over a change's raft proposal: the leader's changes are one
	// after another.
	writing sync.Mutex

	// reading guards what follows.
	reading sync.RWMutex
	state   *state
	// trusted is unset while an outcome is unknown: the state must be loaded anew.
	trusted bool
	watch   chan struct{} // closed at the next change
	counts  counts
	splits  splits
	seen    seen
}

// New makes a catalog; it reads nothing yet.
func New(cfg Config) (*Catalog, error) {
	if cfg.KV == nil || cfg.Region == "" {
		return nil, errors.New("catalog: KV and Region must be given")
	}
	if cfg.Account == "" {
		cfg.Account = "000000000000"
	}
	cfg.Partitions = max(cfg.Partitions, 1)
	cfg.Replication = max(cfg.Replication, 1)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Catalog{cfg: cfg, tag: ring.Tag(cfg.Region), state: newState(), watch: make(chan struct{})}, nil
}

// Region is the region's name.
func (c *Catalog) Region() string { return c.cfg.Region }

// KV is the system partition, for what must follow its leadership.
func (c *Catalog) KV() KV { return c.cfg.KV }

// Watch is closed when the state that this node knows has changed. Take it
// before looking at the state.
func (c *Catalog) Watch() <-chan struct{} {
	c.reading.RLock()
	defer c.reading.RUnlock()
	return c.watch
}

// confirmed calls f with a state at least as new as the moment of the call,
// after the system partition has confirmed that this node leads it (I9). f must
// not keep the state.
func (c *Catalog) confirmed(ctx context.Context, f func(*state) error) error {
	value, _, err := c.cfg.KV.Get(ctx, []byte(headKey))
	if err != nil {
		return fmt.Errorf("confirm the catalog: %w", err)
	}
	newest, err := decoded(value, head{Next: firstCounter})
	if err != nil {
		return err
	}
	c.reading.RLock()
	if c.trusted && c.state.head.Generation >= newest.Generation {
		defer c.reading.RUnlock()
		return f(c.state)
	}
	c.reading.RUnlock()
	if err := c.catchUp(ctx, newest.Generation); err != nil {
		return err
	}
	c.reading.RLock()
	defer c.reading.RUnlock()
	return f(c.state)
}

// catchUp waits for a change on its way and, if that was not what was missing,
// loads the state.
func (c *Catalog) catchUp(ctx context.Context, generation uint64) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.reading.RLock()
	current := c.trusted && c.state.head.Generation >= generation
	c.reading.RUnlock()
	if current {
		return nil
	}
	return c.load(ctx)
}

// load reads the whole catalog. The caller holds writing.
func (c *Catalog) load(ctx context.Context) error {
	rows, err := c.cfg.KV.Scan(ctx, nil)
	if err != nil {
		return fmt.Errorf("load the catalog: %w", err)
	}
	s, err := loadState(rows)
	if err != nil {
		return fmt.Errorf("load the catalog: %w", err)
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	c.state, c.trusted = s, true
	c.changed()
	return nil
}

// changed tells the watchers. The caller holds reading.
func (c *Catalog) changed() {
	close(c.watch)
	c.watch = make(chan struct{})
}

// maxConflicts bounds how often one change starts anew because another leader's
// change came first: a leader that lost its term twice in a row asks the caller
// to find the new one.
const maxConflicts = 8

// change makes one compare-and-set change (I11): f says in t what shall become
// of which rows, or refuses. f may be called several times, each time with a
// newer state. A refusal counts only once the state was confirmed.
func (c *Catalog) change(ctx context.Context, f func(t *txn) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	for range maxConflicts {
		if err := c.ensureTrusted(ctx); err != nil {
			return err
		}
		t := &txn{c: c, s: c.state, head: c.state.head, values: map[string][]byte{}}
		if refusal := f(t); refusal != nil {
			same, err := c.unchanged(ctx)
			if err != nil {
				return err
			}
			if same {
				return refusal
			}
			continue
		}
		done, err := c.commit(ctx, t)
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("change the catalog: %w", ErrConflict)
}

// ensureTrusted loads the state after an unknown outcome. The caller holds
// writing, so nobody else replaces the state.
func (c *Catalog) ensureTrusted(ctx context.Context) error {
	c.reading.RLock()
	trusted := c.trusted
	c.reading.RUnlock()
	if trusted {
		return nil
	}
	return c.load(ctx)
}

// unchanged tells whether the state is still the newest; if not it will be
// loaded anew.
func (c *Catalog) unchanged(ctx context.Context) (bool, error) {
	value, _, err := c.cfg.KV.Get(ctx, []byte(headKey))
	if err != nil {
		return false, fmt.Errorf("confirm the catalog: %w", err)
	}
	if bytes.Equal(value, c.state.raw[headKey]) {
		return true, nil
	}
	c.distrust()
	return false, nil
}

func (c *Catalog) distrust() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.trusted = false
}

// commit proposes t; done is false when another change came first.
func (c *Catalog) commit(ctx context.Context, t *txn) (done bool, err error) {
	if len(t.order) == 0 && t.head == c.state.head {
		return true, nil
	}
	t.head.Generation++
	if err := t.put(headKey, &t.head); err != nil {
		return false, err
	}
	changes := make([]Change, 0, len(t.order))
	for _, k := range t.order {
		changes = append(changes, Change{Key: []byte(k), Value: t.values[k], Old: c.state.raw[k]})
	}
	err = c.cfg.KV.Apply(ctx, changes)
	var notLeader *regionnode.NotLeader
	switch {
	case errors.Is(err, ErrConflict):
		c.distrust()
		return false, nil
	case errors.As(err, &notLeader):
		return false, err
	case err != nil:
		c.distrust()
		return false, fmt.Errorf("change the catalog: %w", err)
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	for _, k := range t.order {
		if err := c.state.set(k, t.values[k]); err != nil {
			c.trusted = false
			return true, fmt.Errorf("row %q: %w", k, err)
		}
	}
	c.changed()
	return true, nil
}

// txn collects the rows of one change.
type txn struct {
	c      *Catalog
	s      *state // as it was: not to be changed
	head   head
	values map[string][]byte
	order  []string
}

// put sets a row.
func (t *txn) put(key string, row any) error {
	b, err := encodeRow(row)
	if err != nil {
		return err
	}
	t.set(key, b)
	return nil
}

// clear forgets all changes so far.
func (t *txn) clear() {
	clear(t.values)
	t.order, t.head = nil, t.s.head
}

// drop deletes a row that is there.
func (t *txn) drop(key string) { t.set(key, nil) }

func (t *txn) set(key string, value []byte) {
	if _, again := t.values[key]; !again {
		t.order = append(t.order, key)
	}
	t.values[key] = value
}

// id gives out a new id of this region.
func (t *txn) id() uint64 {
	id := ring.ID(t.c.tag, t.head.Next)
	t.head.Next++
	return id
}

// table finds a table's row by name.
func (t *txn) table(name string) (*tableRow, error) {
	if row := t.s.tables[name]; row != nil {
		return row, nil
	}
	return nil, apierr.TableMissing(name)
}

// uuid makes a random UUID (version 4, RFC 9562).
func (c *Catalog) uuid() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(c.cfg.Random, b[:]); err != nil {
		return "", fmt.Errorf("draw a UUID: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
