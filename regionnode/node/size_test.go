package node

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "17B": 17, "64KiB": 64 << 10, "512MiB": 512 << 20, "10GiB": 10 << 30, "3TiB": 3 << 40} {
		var s Size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
		again := s
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%s is written as %s, which is %d, %v", text, s.String(), again, err)
		}
	}
	for _, text := range []string{"", "B", "-1", "10GB", "1.5GiB", "10 GiB", "9999999TiB", "KiB"} {
		if s := Size(0); s.Set(text) == nil {
			t.Errorf("%q is taken as %d", text, s)
		}
	}
}
