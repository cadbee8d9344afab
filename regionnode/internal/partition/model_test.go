package partition_test

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/internal/partition"
	"antipode/regionnode/item"
)

// TestModel runs random writes, reads and restarts against a map.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: t, rt: rt, w: newWorld(t, vfs.NewMem()), items: make(map[string]item.Encoded)}
		defer m.w.stop()
		if err := m.w.host.Create(context.Background(), indexedSpec()); err != nil {
			rt.Fatal(err)
		}
		m.p, _ = m.w.host.Partition(3)
		rt.Repeat(map[string]func(*rapid.T){
			"put":     m.put,
			"update":  m.update,
			"delete":  m.delete,
			"batch":   m.batch,
			"get":     m.get,
			"range":   m.rangePages,
			"restart": m.restart,
		})
		checkIndexes(rt, m.p)
		checkLog(rt, m.p)
	})
}

type model struct {
	t     *testing.T
	rt    *rapid.T
	w     *world
	p     *partition.Partition
	items map[string]item.Encoded // by key
}

func (m *model) draw(rt *rapid.T) (item.Item, []byte) {
	it := indexedItem(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "pk"),
		strconv.Itoa(rapid.IntRange(0, 9).Draw(rt, "sk")), rapid.IntRange(0, 3).Draw(rt, "lk"))
	it = it.Set("v", item.Str(rapid.SampledFrom([]string{"", "x", "yyyy"}).Draw(rt, "v")))
	return it, keyFor(rt, it)
}

func parseCondition(rt rapid.TB, src string, values map[string]item.Value) *expr.Condition {
	c, err := expr.ParseCondition(expr.ConditionExpression, src, expr.NewSubstitutions(nil, values))
	if err != nil {
		rt.Fatal(err)
	}
	return c
}

func parseUpdate(rt rapid.TB, src string, values map[string]item.Value) *expr.Update {
	u, err := expr.ParseUpdate(src, expr.NewSubstitutions(nil, values))
	if err != nil {
		rt.Fatal(err)
	}
	return u
}

func (m *model) write(rt *rapid.T, w regionnode.Write) (*regionnode.WriteResponse, error) {
	return m.p.Write(context.Background(), &regionnode.WriteRequest{Target: target, Write: w})
}

func (m *model) put(rt *rapid.T) {
	it, key := m.draw(rt)
	w := regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode(), Return: regionnode.ReturnAllOld}
	old, must := m.items[string(key)], true
	if rapid.Bool().Draw(rt, "conditional") {
		w.Condition = parseCondition(rt, "attribute_not_exists(pk)", nil)
		w.ReturnOnFailure = true
		must = old == nil
	}
	resp, err := m.write(rt, w)
	if !must {
		if !apierr.Is(err, apierr.ConditionalCheckFailed) || string(apierr.Of(err).Item) != string(old) {
			rt.Fatalf("put over an item: %v", err)
		}
		return
	}
	if err != nil || string(resp.Attributes) != string(old) {
		rt.Fatalf("put: %v, old %q, want %q", err, resp.Attributes, old)
	}
	if resp.Usage.OldSize != old.Size() || resp.Usage.NewSize != it.Size() {
		rt.Fatalf("put: usage %+v", resp.Usage)
	}
	m.items[string(key)] = it.Encode()
	m.collection(rt, it, resp.Usage.Collection)
}

// collection recomputes an item collection's size.
func (m *model) collection(rt *rapid.T, of item.Item, got int64) {
	pk, _ := of.Get("pk")
	var want int64
	for _, e := range m.items {
		it, _ := e.Decode()
		if v, _ := it.Get("pk"); !v.Equal(pk) {
			continue
		}
		want += int64(it.Size())
		if _, ok := it.Get("lk"); ok {
			want += int64(it.Size() + it.Remove("v").Size())
		}
	}
	if got != want {
		rt.Fatalf("collection of %d bytes, want %d", got, want)
	}
}

func (m *model) update(rt *rapid.T) {
	it, key := m.draw(rt)
	old := m.items[string(key)]
	src, base := "SET v = :v", it.Remove("lk").Remove("v")
	want := base
	if old != nil {
		want, _ = old.Decode()
	}
	values := map[string]item.Value{":v": item.Str("updated")}
	want = want.Set("v", values[":v"])
	if lk, ok := it.Get("lk"); ok {
		src, values[":k"] = src+", lk = :k", lk
		want = want.Set("lk", lk)
	} else {
		src += " REMOVE lk"
		want = want.Remove("lk")
	}
	u := parseUpdate(rt, src, values)
	resp, err := m.write(rt, regionnode.Write{
		Op: regionnode.UpdateOp, Key: key, Item: base.Encode(), Update: u, Return: regionnode.ReturnAllNew,
	})
	if err != nil || string(resp.Attributes) != string(want.Encode()) {
		rt.Fatalf("update: %v, %q, want %q", err, resp.Attributes, want.Encode())
	}
	m.items[string(key)] = want.Encode()
}

func (m *model) delete(rt *rapid.T) {
	_, key := m.draw(rt)
	resp, err := m.write(rt, regionnode.Write{Op: regionnode.DeleteOp, Key: key, Return: regionnode.ReturnAllOld})
	if err != nil || string(resp.Attributes) != string(m.items[string(key)]) {
		rt.Fatalf("delete: %v, %q", err, resp.Attributes)
	}
	delete(m.items, string(key))
}

func (m *model) batch(rt *rapid.T) {
	r := &regionnode.BatchWriteRequest{Target: target}
	for range rapid.IntRange(1, 8).Draw(rt, "writes") {
		it, key := m.draw(rt)
		r.Writes = append(r.Writes, regionnode.Write{Op: regionnode.PutOp, Key: key, Item: it.Encode()})
		m.items[string(key)] = it.Encode()
	}
	resp, err := m.p.BatchWrite(context.Background(), r)
	if err != nil {
		rt.Fatal(err)
	}
	for _, res := range resp.Results {
		if res.Error != nil {
			rt.Fatal(res.Error)
		}
	}
}

func (m *model) get(rt *rapid.T) {
	_, key := m.draw(rt)
	got, err := m.p.Get(context.Background(), &regionnode.GetRequest{Target: target, Key: key, Consistent: true})
	want := m.items[string(key)]
	if err != nil || string(got.Item) != string(want) || got.Size != want.Size() {
		rt.Fatalf("get: %v, %q of %d, want %q", err, got.Item, got.Size, want)
	}
}

// rangePages reads a random interval in random pages and compares it with the
// model.
func (m *model) rangePages(rt *rapid.T) {
	all := make([]string, 0, len(m.items))
	for key := range m.items {
		all = append(all, key)
	}
	sort.Strings(all)
	_, a := m.draw(rt)
	_, b := m.draw(rt)
	low, high := min(string(a), string(b)), max(string(a), string(b))
	all = slices.DeleteFunc(all, func(k string) bool { return k < low || k >= high })
	r := &regionnode.RangeRequest{
		Target: target, Low: []byte(low), High: []byte(high), Consistent: rapid.Bool().Draw(rt, "consistent"),
		Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), Backward: rapid.Bool().Draw(rt, "backward"),
		Filter: parseCondition(rt, "v <> :v", map[string]item.Value{":v": item.Str("x")}),
	}
	if r.Backward {
		slices.Reverse(all)
	}
	for {
		page, err := m.p.Range(context.Background(), r)
		if err != nil {
			rt.Fatal(err)
		}
		n := min(r.Limit, len(all))
		var want []string
		for _, key := range all[:n] {
			if v, _, _ := m.items[key].Get("v"); v.Text() != "x" {
				want = append(want, string(m.items[key]))
			}
		}
		if page.Scanned != n || fmt.Sprintf("%q", page.Items) != fmt.Sprintf("%q", want) || page.Count != len(want) {
			rt.Fatalf("page %q of %d, want %q of %d", page.Items, page.Scanned, want, n)
		}
		if all = all[n:]; page.LastKey == nil {
			break
		}
		r.After = page.LastKey
	}
	if len(all) > 0 {
		rt.Fatalf("%d items were not read", len(all))
	}
}

func (m *model) restart(rt *rapid.T) {
	m.w.stop()
	m.w.start()
	m.p, _ = m.w.host.Partition(3)
}
