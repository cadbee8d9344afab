package chaos

import (
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"

	"antipode/regionnode/node"
)

// TestNodeAway freezes a node, makes a table and fills it meanwhile, and wants
// all replicas of it, with all items, once the node is back. Then everything is
// killed, and all of it must still be there.
func TestNodeAway(t *testing.T) {
	ctx := bounded(t, patience)
	c := config(t)
	c.fill()
	r, err := startRegion(ctx, &c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	wait := func(what string, ok func() bool) {
		t.Helper()
		if err := r.until(ctx, what, ok); err != nil {
			t.Fatal(err)
		}
	}
	wait("the region is whole", func() bool { return whole(r.statuses(ctx)) })
	wait("every node leads something", func() bool {
		return !slices.ContainsFunc(r.statuses(ctx), func(s *node.Status) bool { return s == nil || leads(s) == 0 })
	})
	if err := r.signal(2, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	create := `{"TableName":"second","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`
	if status, text, err := r.client.call(ctx, "CreateTable", create); err != nil || status != http.StatusOK {
		t.Fatalf("create a table while a node is away: %d %s %v", status, text, err)
	}
	const items = 30
	for i := range items {
		wait("a write is acknowledged while a node is away", func() bool {
			status, _, err := r.client.call(ctx, "PutItem", fmt.Sprintf(`{"TableName":"second","Item":{"k":{"S":"%d"}}}`, i))
			return err == nil && status == http.StatusOK
		})
	}
	if err := r.signal(2, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	all := func() bool {
		statuses := r.statuses(ctx)
		if !whole(statuses) {
			return false
		}
		for _, s := range statuses {
			if held(s) != items {
				return false
			}
		}
		return true
	}
	wait("every node has everything", all)
	for i := range r.nodes() {
		if err := r.signal(i, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	wait("every node is back with everything", all)
}

// held counts the items of the second table that a node has.
func held(s *node.Status) (n int64) {
	for _, p := range s.Partitions {
		if p.Table == "second" {
			n += p.Items
		}
	}
	return n
}
