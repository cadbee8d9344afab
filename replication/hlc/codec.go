package hlc

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Size is the length of an encoded Timestamp in bytes.
const Size = 12

// Append adds t's binary form to dst: Wall and Logical big-endian, so that
// encoded timestamps compare as timestamps do. Wall must not be negative.
func (t Timestamp) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Wall))
	return binary.BigEndian.AppendUint32(dst, t.Logical)
}

// Decode reads a Timestamp from the first Size bytes of b.
func Decode(b []byte) (Timestamp, error) {
	if len(b) < Size {
		return Timestamp{}, fmt.Errorf("timestamp: %d bytes, want %d", len(b), Size)
	}
	wall := binary.BigEndian.Uint64(b)
	if wall > math.MaxInt64 {
		return Timestamp{}, fmt.Errorf("timestamp: wall time %d out of range", wall)
	}
	return Timestamp{Wall: int64(wall), Logical: binary.BigEndian.Uint32(b[8:])}, nil
}

// Time is the wall part as a time.Time in UTC.
func (t Timestamp) Time() time.Time { return time.Unix(0, t.Wall).UTC() }

// String is seconds.nanoseconds, and ",logical" when there is one.
func (t Timestamp) String() string {
	s := fmt.Sprintf("%d.%09d", t.Wall/1e9, t.Wall%1e9)
	if t.Logical != 0 {
		s += fmt.Sprintf(",%d", t.Logical)
	}
	return s
}
