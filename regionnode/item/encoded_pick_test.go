package item

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPick compares with decoding everything and choosing then.
func TestPick(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := items(2).Draw(t, "item")
		chosen := map[string]bool{}
		for _, f := range it {
			chosen[f.Name] = rapid.Bool().Draw(t, f.Name)
		}
		var want Item
		for _, f := range it {
			if chosen[f.Name] {
				want = append(want, f)
			}
		}
		encoded := it.Encode()
		var names []string
		for name, yes := range chosen {
			if yes {
				names = append(names, name)
			}
		}
		if borrowed, err := encoded.Borrow(names); err != nil || string(borrowed.Encode()) != string(want.Encode()) {
			t.Fatalf("borrowed %v, %v, want %v", borrowed, err, want)
		}
		if picked, err := encoded.AppendPicked([]byte("x"), names); err != nil || string(picked) != "x"+string(want.Encode()) {
			t.Fatalf("picked the bytes %x, %v, want %x", picked, err, want.Encode())
		}
		got, err := encoded.Pick(func(name string) bool { return chosen[name] })
		if err != nil {
			t.Fatal(err)
		}
		clear(encoded) // what was picked shares nothing with it
		if string(got.Encode()) != string(want.Encode()) {
			t.Fatalf("picked %v, want %v", got, want)
		}
	})
}

func TestPickRefusesBrokenItems(t *testing.T) {
	whole := Make([]Field{{"a", Str("x")}, {"b", Map(Make([]Field{{"c", Null()}}))}}).Encode()
	for n := 1; n < len(whole); n++ {
		if _, err := whole[:n].Pick(func(string) bool { return true }); err == nil {
			t.Errorf("the first %d bytes of %d are taken for an item", n, len(whole))
		}
		if _, err := whole[:n].AppendPicked(nil, []string{"a", "b"}); err == nil {
			t.Errorf("the first %d bytes of %d are taken for an item", n, len(whole))
		}
	}
}
