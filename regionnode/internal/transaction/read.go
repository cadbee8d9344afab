package transaction

import (
	"context"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/table"
)

// maxReadRounds bounds how often a read transaction whose items change while it
// reads them begins anew.
const maxReadRounds = 8

// reading is one read transaction under way.
type reading struct {
	c     *Coordinator
	r     *regionnode.TransactGetRequest
	parts []part
	at    [][]int
}

// TransactGet is part of regionnode.Transactions: all items are read twice, and
// if nothing has changed in between, all of them were so at the moment in the
// middle.
func (c *Coordinator) TransactGet(ctx context.Context, r *regionnode.TransactGetRequest) (*regionnode.TransactGetResponse, error) {
	q := reading{c: c, r: r}
	index := map[table.ID]int{}
	for i := range r.Reads {
		t := r.Reads[i].Table
		n, ok := index[t]
		if !ok {
			n = len(q.parts)
			index[t] = n
			q.parts, q.at = append(q.parts, part{Table: t}), append(q.at, nil)
		}
		q.parts[n].Keys = append(q.parts[n].Keys, r.Reads[i].Key)
		q.at[n] = append(q.at[n], i)
	}
	resp, err := q.run(ctx)
	return resp, c.outward(err)
}

func (q *reading) run(ctx context.Context) (*regionnode.TransactGetResponse, error) {
	var why []apierr.Reason
	for range maxReadRounds {
		first, err := q.round(ctx, false)
		if err != nil {
			return nil, err
		}
		if why = pending(first); why != nil {
			return nil, canceled(why)
		}
		if len(first) == 1 {
			return answer(first)
		}
		second, err := q.round(ctx, true)
		if err != nil {
			return nil, err
		}
		if why = pending(second); why != nil {
			return nil, canceled(why)
		}
		if why = changed(first, second); why == nil {
			return answer(first)
		}
	}
	return nil, canceled(why)
}

// round reads all items, or only what is to be compared.
func (q *reading) round(ctx context.Context, compare bool) ([]regionnode.MarkedItem, error) {
	out := make([]regionnode.MarkedItem, len(q.r.Reads))
	err := eachPart(q.parts, func(n int) error {
		r := regionnode.ReadMarkedRequest{Target: regionnode.Target{Table: q.parts[n].Table}, Keys: q.parts[n].Keys, Compare: compare}
		if !compare {
			r.Projections = make([]*expr.Projection, len(q.at[n]))
			for i, k := range q.at[n] {
				r.Projections[i] = q.r.Reads[k].Projection
			}
		}
		resp, err := q.c.cfg.Region.ReadMarked(ctx, &r)
		if err != nil {
			return err
		}
		for i, k := range q.at[n] {
			out[k] = resp.Items[i]
		}
		return nil
	})
	return out, err
}

// pending is why items refuse that a write transaction has marked; nil when none
// does.
func pending(items []regionnode.MarkedItem) []apierr.Reason {
	return conflicts(items, func(i int) bool { return items[i].Pending })
}

func changed(first, second []regionnode.MarkedItem) []apierr.Reason {
	return conflicts(first, func(i int) bool { return first[i].Version != second[i].Version })
}

func conflicts(items []regionnode.MarkedItem, refuses func(int) bool) []apierr.Reason {
	var out []apierr.Reason
	for i := range items {
		if !refuses(i) {
			continue
		}
		if out == nil {
			out = make([]apierr.Reason, len(items))
		}
		out[i] = conflict()
	}
	return out
}

// answer gives out what was read, unless it is too much.
func answer(items []regionnode.MarkedItem) (*regionnode.TransactGetResponse, error) {
	resp := &regionnode.TransactGetResponse{Items: make([]regionnode.GetResponse, len(items))}
	size := 0
	for i := range items {
		resp.Items[i] = regionnode.GetResponse{Item: items[i].Item, Size: items[i].Size}
		size += items[i].Size
	}
	if size > table.MaxTransactSize {
		return nil, apierr.Invalid("Total size of the items in the transaction exceeded the 4 MB limit")
	}
	return resp, nil
}
