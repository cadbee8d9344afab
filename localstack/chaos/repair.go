package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"antipode/localstack/chaos/history"
	"antipode/localstack/cluster"
	"antipode/regionnode/node"
	"antipode/regionnode/table"
)

// Repair is what it takes a region to replace a node that is gone.
type Repair struct {
	Bytes        int
	ReplaceAfter time.Duration
	// Whole is the time from the node's end until every partition has all its
	// replicas again; Copy is what of it comes behind ReplaceAfter.
	Whole, Copy time.Duration
	// Drain is how long it took to drain a node of the whole region later.
	Drain time.Duration
	// Before, Copying and Draining are the latencies of small writes, in ascending
	// order: on the whole region, while replicas were copied (behind the failover),
	// and during the drain. Failed counts the writes of the drain that failed.
	Before, Copying, Draining []time.Duration
	Failed                    int
}

// String is a few lines for a person.
func (r *Repair) String() string {
	line := func(d []time.Duration) string {
		return fmt.Sprintf("p50 %v, p99 %v, of %d", Quantile(d, 0.5).Round(10*time.Microsecond), Quantile(d, 0.99).Round(10*time.Microsecond), len(d))
	}
	ratio := func(d []time.Duration) float64 {
		return float64(Quantile(d, 0.99)) / float64(max(Quantile(r.Before, 0.99), 1))
	}
	return fmt.Sprintf("%d MB of items: all replicas are back after %v (replace-after %v and %v)\n"+
		"writes before: %s\nwrites while replicas are copied: %s (p99 %.2f of before)\n"+
		"drain took %v, %d writes failed\nwrites during the drain: %s (p99 %.2f of before)",
		r.Bytes>>20, r.Whole.Round(time.Millisecond), r.ReplaceAfter, r.Copy.Round(time.Millisecond),
		line(r.Before), line(r.Copying), ratio(r.Copying), r.Drain.Round(time.Millisecond), r.Failed, line(r.Draining), ratio(r.Draining))
}

const (
	// calmFor is how long the whole region is measured.
	calmFor = 5 * time.Second
	// filler is the size of the items that are copied.
	filler  = 10 << 10
	writers = 8
	// writeEvery paces one writer.
	writeEvery = 10 * time.Millisecond
)

// MeasureRepair fills a region, kills a node for good, waits until its replicas
// are on others, brings the node back, and drains another.
func MeasureRepair(ctx context.Context, c Config, bytes int) (*Repair, error) {
	c.fill()
	r, err := startRegion(ctx, &c)
	if err != nil {
		return nil, err
	}
	m := &repair{Config: c, region: r, out: Repair{Bytes: bytes, ReplaceAfter: c.ReplaceAfter}}
	err = m.all(ctx)
	return &m.out, errors.Join(err, r.close())
}

// repair is a measurement under way.
type repair struct {
	Config
	region *region
	out    Repair
	items  int // of filler
	next   atomic.Int64
	mu     sync.Mutex
	acked  []string
}

func (m *repair) all(ctx context.Context) error {
	if err := m.load(ctx); err != nil {
		return err
	}
	if err := m.region.until(ctx, "the region is whole", func() bool { return m.complete(ctx, "") }); err != nil {
		return err
	}
	calm := m.write(ctx)
	wait(ctx, calmFor)
	m.out.Before, _ = calm()
	victim := m.region.nodes()[1]
	if err := m.kill(ctx, victim); err != nil {
		return err
	}
	if err := m.read(ctx); err != nil {
		return err
	}
	if err := m.region.cluster.ReviveNode(victim.Name); err != nil {
		return err
	}
	if err := m.region.until(ctx, "the node is back and the region at rest", func() bool { return m.complete(ctx, "") }); err != nil {
		return err
	}
	if err := m.drain(ctx, m.region.nodes()[0]); err != nil {
		return err
	}
	return m.read(ctx)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// load writes what will be copied.
func (m *repair) load(ctx context.Context) error {
	m.items = max(m.out.Bytes/filler, 1)
	value := strings.Repeat("x", filler)
	var g errgroup.Group
	g.SetLimit(2 * writers)
	for i := range m.items {
		g.Go(func() error {
			if m.region.client.put(ctx, fmt.Sprintf("fill-%d", i), value) != history.Done {
				return errors.New("an item was not written")
			}
			return nil
		})
	}
	return g.Wait()
}

// write begins small writes at a steady pace; its end answers with how long they
// took and how many failed.
func (m *repair) write(ctx context.Context) (end func() (took []time.Duration, failed int)) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	failed := 0
	for range writers {
		all.Go(func() {
			tick := time.NewTicker(writeEvery)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				key := fmt.Sprintf("small-%d", m.next.Add(1))
				began := time.Now()
				ok := m.region.client.put(context.WithoutCancel(ctx), key, key) == history.Done
				mu.Lock()
				if took = append(took, time.Since(began)); !ok {
					failed++
				}
				mu.Unlock()
				if ok {
					m.mu.Lock()
					m.acked = append(m.acked, key)
					m.mu.Unlock()
				}
			}
		})
	}
	return func() ([]time.Duration, int) {
		cancel()
		all.Wait()
		slices.Sort(took)
		return took, failed
	}
}

// kill ends a node for good and waits until the others hold everything.
func (m *repair) kill(ctx context.Context, victim cluster.NodeInfo) error {
	began := time.Now()
	over := m.write(ctx) // the failover is another measurement's
	if err := m.region.cluster.KillNode(victim.Name); err != nil {
		return err
	}
	if err := m.region.until(ctx, "replicas are on their way", func() bool {
		return time.Since(began) > m.ReplaceAfter || m.complete(ctx, victim.Name)
	}); err != nil {
		return err
	}
	over()
	copying := m.write(ctx)
	err := m.region.until(ctx, "every partition has all its replicas", func() bool { return m.complete(ctx, victim.Name) })
	m.out.Whole = time.Since(began)
	m.out.Copy = m.out.Whole - m.ReplaceAfter
	m.out.Copying, _ = copying()
	return err
}

// drain empties a node of the whole region.
func (m *repair) drain(ctx context.Context, n cluster.NodeInfo) error {
	began := time.Now()
	draining := m.write(ctx)
	err := m.order(ctx, n, "drain")
	if err == nil {
		err = m.region.until(ctx, "the node is drained", func() bool { return m.complete(ctx, n.Name) })
	}
	m.out.Drain = time.Since(began)
	m.out.Draining, m.out.Failed = draining()
	return err
}

func (m *repair) order(ctx context.Context, n cluster.NodeInfo, action string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Admin+"/nodes/"+n.Name+"/"+action, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := m.region.admin.Do(r)
	if err != nil {
		return fmt.Errorf("%s %s: %w", action, n.Name, err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s %s: %s", action, n.Name, answer.Status)
	}
	return nil
}

// complete tells whether every partition has all its replicas, a leader, and
// nobody that is away, on nodes other than one, which holds nothing.
func (m *repair) complete(ctx context.Context, without string) bool {
	var present []*node.Status
	for i, s := range m.region.statuses(ctx) {
		name := m.region.nodes()[i].Name
		if name == without {
			if s != nil && len(s.Partitions) > 0 {
				return false
			}
			continue
		}
		present = append(present, s)
	}
	holders := map[table.PartitionID]int{}
	for _, s := range present {
		if s == nil || s.Moving > 0 {
			return false
		}
		for _, p := range s.Partitions {
			if holders[p.ID]++; p.Leader == 0 || len(p.Away) > 0 {
				return false
			}
		}
	}
	for _, n := range holders {
		if n != m.Replication {
			return false
		}
	}
	return len(holders) > m.Partitions
}

// read looks for everything that was acknowledged.
func (m *repair) read(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(2 * writers)
	check := func(key string, want func(string) bool) {
		g.Go(func() error {
			result, found := m.region.client.get(ctx, key)
			if result != history.Done || !want(found) {
				return fmt.Errorf("the acknowledged write of %s is lost: outcome %d, found %.20q", key, result, found)
			}
			return nil
		})
	}
	for _, key := range m.acked {
		check(key, func(found string) bool { return found == key })
	}
	for i := range m.items {
		check(fmt.Sprintf("fill-%d", i), func(found string) bool { return len(found) == filler })
	}
	if len(m.acked) == 0 {
		return errors.New("nothing was acknowledged")
	}
	return g.Wait()
}
