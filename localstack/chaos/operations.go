package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"antipode/regionnode/node"
	"antipode/regionnode/table"
)

// operation is what an operator may do at any time. do is called in the midst of
// faults and may fail for that.
type operation struct {
	name string
	do   func(ctx context.Context, r *run, random *rand.Rand) error
}

// operations are all of them. New kinds go here.
var operations = []operation{
	{"split", func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.split(ctx, random)
	}},
	{"drain", func(ctx context.Context, r *run, random *rand.Rand) error {
		v := r.victim(random)
		if err := r.order(ctx, v, "drain"); err != nil {
			return err
		}
		rest(ctx, r.span(random, 10*time.Second))
		return r.order(ctx, v, "undrain")
	}},
	{"replace", func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.replace(ctx, r.victim(random))
	}},
}

// mostPartitions bounds what splits make of the table: a run is about faults.
const mostPartitions = 12

// split orders the split of some partition of the table, or of its index, at a
// hash that the partition chooses.
func (r *run) split(ctx context.Context, random *rand.Rand) error {
	rows, err := r.region.partitions(ctx)
	if err != nil {
		return err
	}
	if len(rows) >= mostPartitions {
		return fmt.Errorf("there are %d partitions already", len(rows))
	}
	order, err := json.Marshal(node.SplitOrder{Table: tableName, Partition: rows[random.IntN(len(rows))].ID})
	if err != nil {
		return err
	}
	_, err = r.region.command(ctx, http.MethodPost, "/partitions/split", order)
	return err
}

// order has a node drained, or ends that.
func (r *run) order(ctx context.Context, i int, what string) error {
	_, err := r.region.command(ctx, http.MethodPost, "/nodes/"+r.region.nodes()[i].Name+"/"+what, nil)
	return err
}

// partitions are those of the table and its index, as the catalog knows them.
func (r *region) partitions(ctx context.Context) ([]node.PartitionRow, error) {
	body, err := r.command(ctx, http.MethodGet, "/partitions?table="+tableName, nil)
	if err != nil {
		return nil, err
	}
	var rows []node.PartitionRow
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, fmt.Errorf("partitions: %w", err)
	}
	return rows, nil
}

// command asks the admin port of one node after another until one does it.
func (r *region) command(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	var last error
	for _, n := range r.nodes() {
		answer, err := r.commandAt(ctx, method, n.Admin+path, body)
		if err == nil {
			return answer, nil
		}
		last = err
	}
	return nil, last
}

func (r *region) commandAt(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := r.admin.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", method, url, answer.StatusCode, bytes.TrimSpace(text))
	}
	return text, err
}

// settle ends all drains, has the region forget who was replaced, and waits until
// nothing moves and nothing splits any more, and every partition has all its
// replicas.
func (r *run) settle(ctx context.Context) error {
	for i := range r.region.nodes() {
		err := r.region.until(ctx, "no node is drained", func() bool { return r.order(ctx, i, "undrain") == nil })
		if err != nil {
			return err
		}
	}
	if err := r.region.until(ctx, "no node that was replaced is a member", func() bool { return r.forget(ctx) }); err != nil {
		return fmt.Errorf("%w: %v", err, r.gone)
	}
	why := ""
	err := r.region.until(ctx, "all replicas are where they belong", func() bool {
		why = r.unsettled(ctx)
		return why == ""
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, why)
	}
	return nil
}

// unsettled says what is not yet as it shall be, "" for nothing.
func (r *run) unsettled(ctx context.Context) string {
	rows, err := r.region.partitions(ctx)
	if err != nil {
		return err.Error()
	}
	r.report.Partitions = len(rows)
	for _, row := range rows {
		if row.Right != 0 || len(row.Replicas) != r.Replication {
			return fmt.Sprintf("partition %+v", row)
		}
	}
	statuses := r.region.statuses(ctx)
	if !whole(statuses) {
		return "the region is not whole"
	}
	held := replicasOf(statuses)
	for _, row := range rows {
		if held[row.ID] == 0 {
			return fmt.Sprintf("nobody holds partition %v", row.ID)
		}
	}
	for id, n := range held {
		if n != r.Replication {
			return fmt.Sprintf("nodes hold %d replicas of partition %v", n, id)
		}
	}
	return ""
}

// replicasOf counts the replicas of each partition that nodes hold and use.
func replicasOf(statuses []*node.Status) map[table.PartitionID]int {
	held := map[table.PartitionID]int{}
	for _, s := range statuses {
		for _, p := range s.Partitions {
			if p.Removed || p.Waiting || p.Broken != "" {
				// Counted as one too many: it shall go, or become one.
				held[p.ID] += len(statuses)
				continue
			}
			held[p.ID]++
		}
	}
	return held
}
