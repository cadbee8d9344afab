package node

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes as a flag takes it: "64KiB", "10GiB", "1048576".
type Size int64

var sizeUnits = []struct {
	name  string
	bytes Size
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// String is part of pflag.Value.
func (s *Size) String() string {
	for _, u := range sizeUnits {
		if *s >= u.bytes && *s%u.bytes == 0 {
			return strconv.FormatInt(int64(*s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Set is part of pflag.Value.
func (s *Size) Set(text string) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > (1<<62)/int64(u.bytes) {
			break
		}
		*s = Size(n) * u.bytes
		return nil
	}
	return fmt.Errorf("%q is no size such as 64KiB, 512MiB or 10GiB", text)
}

// Type is part of pflag.Value.
func (*Size) Type() string { return "size" }
