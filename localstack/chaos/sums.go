package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"antipode/localstack/chaos/history"
)

// sums are what clients added to items and moved between them.
type sums struct {
	counts, transfers *history.Tally
	mu                sync.Mutex
	counters          map[string]bool
	banks             map[int]bool
	wrong             error // an audit's first finding
}

func newSums() sums {
	return sums{counts: history.NewTally(), transfers: history.NewTally(), counters: map[string]bool{}, banks: map[int]bool{}}
}

const (
	// adders are clients that add, besides the others.
	adders = 2
	// A bank is so many accounts; after bankLife operations of a client the next
	// one opens, so that items stay small.
	bankAccounts = 4
	bankLife     = 100
)

func account(bank, i int) string { return fmt.Sprintf("account-%d-%d", bank, i) }

func accounts(bank int) (keys []string) {
	for i := range bankAccounts {
		keys = append(keys, account(bank, i))
	}
	return keys
}

// addUp counts up, moves amounts between accounts, and looks whether they still
// have nothing together.
func (r *run) addUp(ctx context.Context, who int) {
	random := r.random(uint64(2000 + who))
	detached := context.WithoutCancel(ctx)
	for n := 0; ctx.Err() == nil; n++ {
		bank, id := n/bankLife, fmt.Sprintf("%d.%d", who, n)
		switch random.IntN(5) {
		case 0, 1:
			key := fmt.Sprintf("counter-%d-%d", bank, random.IntN(2))
			r.sums.note(func() { r.sums.counters[key] = true })
			r.sums.counts.Begin(key + " " + id)
			o := r.region.client.add(detached, key, 1, id)
			r.sums.counts.End(key+" "+id, o)
			r.count(o)
		case 2, 3:
			r.transfer(detached, random, bank, id)
		default:
			r.audit(detached, bank)
		}
	}
}

func (s *sums) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (r *run) transfer(ctx context.Context, random *rand.Rand, bank int, id string) {
	from := random.IntN(bankAccounts)
	to := (from + 1 + random.IntN(bankAccounts-1)) % bankAccounts
	r.sums.note(func() { r.sums.banks[bank] = true })
	both := []string{account(bank, from) + " " + id, account(bank, to) + " " + id}
	for _, one := range both {
		r.sums.transfers.Begin(one)
	}
	o, text := r.region.client.transfer(ctx, account(bank, from), account(bank, to), 1+random.IntN(9), id)
	for _, one := range both {
		r.sums.transfers.End(one, o)
	}
	if o != history.Done {
		r.Log.Info("transfer", "id", id, "outcome", int(o), "answer", text)
	}
	r.count(o)
}

// audit reads all accounts of a bank at one moment.
func (r *run) audit(ctx context.Context, bank int) {
	rows, ok := r.region.client.together(ctx, accounts(bank)...)
	if !ok {
		return
	}
	if err := balanced(rows); err != nil {
		r.sums.note(func() {
			if r.sums.wrong == nil {
				r.sums.wrong = fmt.Errorf("bank %d, read by a transaction: %w", bank, err)
			}
		})
	}
}

// balanced wants nothing in all accounts together, and every transfer in two.
func balanced(rows []row) error {
	total := int64(0)
	times := map[string]int{}
	for _, row := range rows {
		n, ids, err := row.number()
		if err != nil {
			return err
		}
		total += n
		for _, id := range ids {
			times[id]++
		}
	}
	if total != 0 {
		return fmt.Errorf("all accounts together have %d, not 0", total)
	}
	for id, n := range times {
		if n != 2 {
			return fmt.Errorf("transfer %s shows in %d accounts", id, n)
		}
	}
	return nil
}

// checkSums looks for everything that was added and moved, once nothing disturbs
// any more.
func (r *run) checkSums(ctx context.Context) error {
	if r.sums.wrong != nil {
		return r.sums.wrong
	}
	var found []string
	for key := range r.sums.counters {
		row, err := r.region.client.row(ctx, key)
		if err != nil {
			return fmt.Errorf("read %s in the end: %w", key, err)
		}
		n, ids, err := row.number()
		if err != nil {
			return err
		}
		if n != int64(len(ids)) {
			return fmt.Errorf("%s is %d after %d increments", key, n, len(ids))
		}
		for _, id := range ids {
			found = append(found, key+" "+id)
		}
	}
	if err := r.sums.counts.Check(found); err != nil {
		return fmt.Errorf("counters: %w", err)
	}
	var moved []string
	for bank := range r.sums.banks {
		var rows []row
		for _, key := range accounts(bank) {
			row, err := r.region.client.row(ctx, key)
			if err != nil {
				return fmt.Errorf("read %s in the end: %w", key, err)
			}
			rows = append(rows, row)
			for _, id := range row["ids"].L {
				moved = append(moved, key+" "+id.S)
			}
		}
		if err := balanced(rows); err != nil {
			return fmt.Errorf("bank %d: %w", bank, err)
		}
	}
	if err := r.sums.transfers.Check(moved); err != nil {
		return fmt.Errorf("transfers: %w", err)
	}
	return nil
}
