package item

import "testing"

// The sizes were measured on AWS, each by an item at and one byte above the
// limit of 400 KB.
func TestNumberSize(t *testing.T) {
	for text, want := range map[string]int{
		"0": 1, "1": 2, "12": 2, "123": 3, "1234": 3,
		"12345678901234567890123456789012345678": 20,
		"0042":                                   2, "100": 2, "1010": 3, "0.0000001": 2, "1E125": 2, "1E-100": 2,
		"1.5": 3, "15": 2, "1.2": 3, "1.200": 3, "1.234": 4, "3.14159": 5,
		"123456": 4, "100.5": 4, "0.15": 2, "-42": 3, "-0": 1,
	} {
		n, err := ParseNumber(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := n.Size(); got != want {
			t.Errorf("%s costs %d, want %d", text, got, want)
		}
	}
}
