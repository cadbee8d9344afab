package replication

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"antipode/replication/hlc"
	"github.com/vmihailenco/msgpack/v5"
)

// AppendVersion adds v's compact form to dst: the timestamp's twelve bytes, the
// region's name, a zero byte. Encoded versions compare bytewise as versions do.
// The form carries its own end. A region's name holds no zero byte.
func AppendVersion(dst []byte, v Version) []byte {
	dst = v.Time.Append(dst)
	dst = append(dst, v.Region...)
	return append(dst, 0)
}

// DecodeVersion reads a compact version off the front of b.
func DecodeVersion(b []byte) (v Version, rest []byte, err error) {
	if v.Time, err = hlc.Decode(b); err != nil {
		return Version{}, nil, fmt.Errorf("version: %w", err)
	}
	b = b[hlc.Size:]
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return Version{}, nil, errors.New("version: region ends too early")
	}
	v.Region = Region(b[:end])
	return v, b[end+1:], nil
}

// AppendContext adds c's compact form to dst: a count byte and the entries as
// versions. Contexts have at most 255 regions.
func AppendContext(dst []byte, c Context) []byte {
	dst = append(dst, byte(len(c)))
	for _, e := range c {
		dst = AppendVersion(dst, Version{Time: e.Time, Region: e.Region})
	}
	return dst
}

// DecodeContext reads a compact context off the front of b; nil when empty.
func DecodeContext(b []byte) (c Context, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errors.New("context: ends too early")
	}
	n := int(b[0])
	b = b[1:]
	for i := range n {
		var v Version
		if v, b, err = DecodeVersion(b); err != nil {
			return nil, nil, fmt.Errorf("context: %w", err)
		}
		if i > 0 && v.Region <= c[i-1].Region {
			return nil, nil, errors.New("context: regions out of order")
		}
		c = append(c, ContextEntry{v.Region, v.Time})
	}
	return c, b, nil
}

// Records of cause Lost have the fields of their verdict after the others.
const (
	recordFields  = 9
	verdictFields = 3
)

// AppendRecord adds r's msgpack form to dst.
func AppendRecord(dst []byte, r *Record) []byte {
	fields := recordFields
	if r.Verdict != nil {
		fields += verdictFields
	}
	dst = appendArray(dst, fields)
	dst = appendUint(dst, r.Sequence)
	dst = appendBytes(dst, r.Key)
	dst = appendVersion(dst, r.Version)
	dst = appendArray(dst, len(r.Context))
	for _, e := range r.Context {
		dst = appendVersion(dst, Version{Time: e.Time, Region: e.Region})
	}
	dst = appendUint(dst, uint64(r.Cause))
	dst = appendBool(dst, r.Delete)
	dst = appendBytes(dst, r.Old)
	dst = appendBytes(dst, r.New)
	dst = appendString(dst, r.Transaction)
	if v := r.Verdict; v != nil {
		dst = appendVersion(dst, v.Loser)
		dst = appendVersion(dst, v.Winner)
		dst = appendBool(dst, v.WinnerDelete)
	}
	return dst
}

// DecodeRecord reads a record off the front of b. The record's bytes share
// memory with b.
func DecodeRecord(b []byte) (rec Record, rest []byte, err error) {
	r := reader{b: b}
	r.record(&rec)
	if r.err != nil {
		return Record{}, nil, fmt.Errorf("record: %w", r.err)
	}
	return rec, r.b, nil
}

// AppendRecords adds a msgpack array of records to dst.
func AppendRecords(dst []byte, recs []Record) []byte {
	dst = appendArray(dst, len(recs))
	for i := range recs {
		dst = AppendRecord(dst, &recs[i])
	}
	return dst
}

// DecodeRecords reads a msgpack array of records off the front of b; nil when
// it is empty. The records' bytes share memory with b.
func DecodeRecords(b []byte) (recs []Record, rest []byte, err error) {
	r := reader{b: b}
	if n := r.array(); n > 0 {
		// Every record has more than recordFields bytes.
		recs = make([]Record, 0, min(n, len(b)/recordFields+1))
		for range n {
			var rec Record
			if r.record(&rec); r.err != nil {
				break
			}
			recs = append(recs, rec)
		}
	}
	if r.err != nil {
		return nil, nil, fmt.Errorf("record %d: %w", len(recs), r.err)
	}
	return recs, r.b, nil
}

func (r *reader) record(rec *Record) {
	extra := r.fields("record", recordFields)
	rec.Sequence = r.uint()
	rec.Key = r.bytes()
	rec.Version = r.version()
	if n := r.array(); n > 0 {
		rec.Context = make(Context, 0, min(n, 16))
		for i := range n {
			v := r.version()
			if r.err == nil && i > 0 && v.Region <= rec.Context[i-1].Region {
				r.fail(errors.New("context: regions out of order"))
			}
			if r.err != nil {
				return
			}
			rec.Context = append(rec.Context, ContextEntry{v.Region, v.Time})
		}
	}
	rec.Cause = Cause(r.small("cause", math.MaxUint8))
	rec.Delete = r.bool()
	rec.Old = r.bytes()
	rec.New = r.bytes()
	rec.Transaction = r.string()
	if rec.Cause == Lost && r.err == nil {
		if extra < verdictFields {
			r.fail(errors.New("verdict is missing"))
			return
		}
		rec.Verdict = &Verdict{Loser: r.version(), Winner: r.version(), WinnerDelete: r.bool()}
		extra -= verdictFields
	}
	r.skip(extra)
}

// RecordSize is about how many bytes AppendRecord adds for r; never less than
// its images and key.
func RecordSize(r *Record) int {
	n := 48
	if r.Verdict != nil {
		n += 64
	}
	return n + len(r.Key) + len(r.Old) + len(r.New) + len(r.Transaction) + 32*len(r.Context)
}

const versionFields = 3

func appendVersion(dst []byte, v Version) []byte {
	dst = appendArray(dst, versionFields)
	dst = appendUint(dst, uint64(v.Time.Wall))
	dst = appendUint(dst, uint64(v.Time.Logical))
	return appendString(dst, string(v.Region))
}

func (r *reader) version() Version {
	extra := r.fields("version", versionFields)
	v := Version{Time: hlc.Timestamp{
		Wall:    int64(r.small("wall time", math.MaxInt64)),
		Logical: uint32(r.small("logical time", math.MaxUint32)),
	}}
	v.Region = r.region()
	r.skip(extra)
	return v
}

const positionFields = 3

// AppendPosition adds p's msgpack form to dst.
func AppendPosition(dst []byte, p Position) []byte {
	dst = appendArray(dst, positionFields)
	dst = appendUint(dst, p.Incarnation)
	dst = appendUint(dst, uint64(p.Generation))
	return appendUint(dst, p.Sequence)
}

// DecodePosition reads a position off the front of b.
func DecodePosition(b []byte) (p Position, rest []byte, err error) {
	r := reader{b: b}
	extra := r.fields("position", positionFields)
	p = Position{Incarnation: r.uint(), Generation: Generation(r.uint()), Sequence: r.uint()}
	r.skip(extra)
	if r.err != nil {
		return Position{}, nil, fmt.Errorf("position: %w", r.err)
	}
	return p, r.b, nil
}

var (
	_ msgpack.CustomEncoder = Version{}
	_ msgpack.CustomDecoder = (*Version)(nil)
)

// EncodeMsgpack writes v as records hold it, for messages that the library
// encodes.
func (v Version) EncodeMsgpack(e *msgpack.Encoder) error {
	return errors.Join(
		e.EncodeArrayLen(versionFields),
		e.EncodeUint(uint64(v.Time.Wall)),
		e.EncodeUint(uint64(v.Time.Logical)),
		e.EncodeString(string(v.Region)))
}

// DecodeMsgpack reads what EncodeMsgpack wrote.
func (v *Version) DecodeMsgpack(d *msgpack.Decoder) error {
	raw, err := d.DecodeRaw()
	if err != nil {
		return fmt.Errorf("version: %w", err)
	}
	r := reader{b: raw}
	if *v = r.version(); r.err != nil {
		return fmt.Errorf("version: %w", r.err)
	}
	return nil
}
