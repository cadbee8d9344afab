package expr

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"

	"antipode/regionnode/item"
)

// The binary form of a tree: a version, then nodes. A node is its op; a path
// has its names and indexes, a value its compact form behind its length in four
// bytes, an action its path; everything but paths and values then has the
// number of its operands and the operands. Numbers are unsigned varints.
const codecVersion = 1

// maxCodecDepth bounds a decoded tree's depth: more than any expression of
// maxExpression bytes needs.
const maxCodecDepth = maxExpression

var errCodec = errors.New("malformed expression")

var (
	_ encoding.BinaryMarshaler   = (*Condition)(nil)
	_ encoding.BinaryUnmarshaler = (*Condition)(nil)
	_ encoding.BinaryMarshaler   = (*Update)(nil)
	_ encoding.BinaryUnmarshaler = (*Update)(nil)
	_ encoding.BinaryMarshaler   = (*Projection)(nil)
	_ encoding.BinaryUnmarshaler = (*Projection)(nil)
)

// MarshalBinary gives the compact form that UnmarshalBinary reads.
func (c *Condition) MarshalBinary() ([]byte, error) {
	return appendNode([]byte{codecVersion}, &c.root), nil
}

// UnmarshalBinary reads the form of MarshalBinary; it copies b.
func (c *Condition) UnmarshalBinary(b []byte) error {
	d := newDecoder(b)
	root := d.node(0)
	if err := d.finish(); err != nil {
		return fmt.Errorf("decode condition: %w", err)
	}
	if !root.isCondition() {
		return fmt.Errorf("decode condition: %w", errCodec)
	}
	*c = Condition{root: root}
	return nil
}

// MarshalBinary gives the compact form that UnmarshalBinary reads.
func (u *Update) MarshalBinary() ([]byte, error) {
	b := binary.AppendUvarint([]byte{codecVersion}, uint64(len(u.actions)))
	for i := range u.actions {
		b = appendNode(b, &u.actions[i])
	}
	return b, nil
}

// UnmarshalBinary reads the form of MarshalBinary; it copies b.
func (u *Update) UnmarshalBinary(b []byte) error {
	d := newDecoder(b)
	actions := make([]node, d.count())
	for i := range actions {
		actions[i] = d.node(0)
		if !actions[i].op.isAction() {
			d.err = errCodec
		}
	}
	if err := d.finish(); err != nil {
		return fmt.Errorf("decode update: %w", err)
	}
	*u = *newUpdate(actions)
	return nil
}

// MarshalBinary gives the compact form that UnmarshalBinary reads.
func (p *Projection) MarshalBinary() ([]byte, error) {
	b := binary.AppendUvarint([]byte{codecVersion}, uint64(len(p.paths)))
	for i := range p.paths {
		b = appendPath(b, &p.paths[i])
	}
	return b, nil
}

// UnmarshalBinary reads the form of MarshalBinary; it copies b.
func (p *Projection) UnmarshalBinary(b []byte) error {
	d := newDecoder(b)
	paths := make([]Path, d.count())
	for i := range paths {
		paths[i] = d.path()
	}
	if err := d.finish(); err != nil {
		return fmt.Errorf("decode projection: %w", err)
	}
	*p = *newProjection(paths)
	return nil
}

func appendNode(b []byte, n *node) []byte {
	b = append(b, byte(n.op))
	switch {
	case n.op == opPath:
		return appendPath(b, &n.path)
	case n.op == opValue:
		at := len(b)
		b = n.val.AppendEncoded(append(b, 0, 0, 0, 0))
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		return b
	case n.op.isAction():
		b = appendPath(b, &n.path)
	}
	b = binary.AppendUvarint(b, uint64(len(n.args)))
	for i := range n.args {
		b = appendNode(b, &n.args[i])
	}
	return b
}

// appendPath writes the name, the number of steps, and each step as 0 and a
// name or as an index plus one.
func appendPath(b []byte, p *Path) []byte {
	b = appendString(b, p.Name)
	b = binary.AppendUvarint(b, uint64(len(p.Steps)))
	for _, s := range p.Steps {
		if s.Index >= 0 {
			b = binary.AppendUvarint(b, uint64(s.Index)+1)
			continue
		}
		b = appendString(append(b, 0), s.Name)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads the binary form. After an error all it reads is zero.
type decoder struct {
	rest []byte
	text string // all of the input; names are parts of it
	err  error
}

func newDecoder(b []byte) *decoder {
	d := &decoder{rest: b, text: string(b)}
	if v := d.bytes(1); d.err == nil && v[0] != codecVersion {
		d.err = fmt.Errorf("expression of version %d", v[0])
	}
	return d
}

func (d *decoder) finish() error {
	if d.err == nil && len(d.rest) > 0 {
		d.err = errCodec
	}
	return d.err
}

// bytes reads n bytes, or none after an error.
func (d *decoder) bytes(n uint64) []byte {
	if d.err == nil && n > uint64(len(d.rest)) {
		d.err = errCodec
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.err = errCodec
	}
	if d.err != nil {
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads the number of things that follow, each of a byte or more.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.err = errCodec
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.uvarint()
	at := len(d.text) - len(d.rest)
	return d.text[at : at+len(d.bytes(n))]
}

func (d *decoder) path() Path {
	p := Path{Name: d.string()}
	if n := d.count(); n > 0 {
		p.Steps = make([]Step, n)
	}
	for i := range p.Steps {
		switch n := d.uvarint(); {
		case n == 0:
			p.Steps[i] = Step{Name: d.string(), Index: -1}
		case n-1 > maxListIndex:
			d.err = errCodec
		default:
			p.Steps[i].Index = int(n - 1)
		}
	}
	return p
}

func (d *decoder) node(depth int) node {
	b := d.bytes(1)
	if d.err != nil {
		return node{}
	}
	n := node{op: op(b[0])}
	if n.op >= opCount || depth > maxCodecDepth {
		d.err = errCodec
		return node{}
	}
	switch {
	case n.op == opPath:
		n.path = d.path()
		return n
	case n.op == opValue:
		n.val = d.value()
		return n
	case n.op.isAction():
		n.path = d.path()
	}
	if count := d.count(); count > 0 {
		n.args = make([]node, count)
	}
	for i := range n.args {
		n.args[i] = d.node(depth + 1)
	}
	if d.err == nil && !n.wellFormed() {
		d.err = errCodec
	}
	return n
}

func (d *decoder) value() (v item.Value) {
	length := d.bytes(4)
	if d.err != nil {
		return v
	}
	b := d.bytes(uint64(binary.BigEndian.Uint32(length)))
	if d.err == nil {
		d.err = v.UnmarshalBinary(b)
	}
	return v
}

// wellFormed tells whether a node has operands that it can be evaluated with.
func (n *node) wellFormed() bool {
	count, kind := len(n.args), (*node).isOperand
	switch {
	case n.op == opNone || n.op == opRemove:
		return count == 0
	case n.op == opAnd || n.op == opOr:
		count, kind = min(count, 1), (*node).isCondition
	case n.op == opNot:
		kind = (*node).isCondition
	case n.op == opIn:
		count = min(count, 2) - 1
	case n.op == opBetween:
		count -= 2
	case n.op == opIfNotExists:
		if count != 2 || n.args[0].op != opPath {
			return false
		}
		count, kind = 1, (*node).isAssigned
	case n.op == opSet:
		kind = (*node).isAssigned
	case n.op == opListAppend || n.op == opPlus || n.op == opMinus:
		count, kind = count-1, (*node).isAssigned
	case n.op.isAction():
		kind = func(m *node) bool { return m.op == opValue }
	case n.op != opAttributeExists && n.op != opAttributeNotExists && n.op != opSize:
		count--
	}
	if count != 1 {
		return false
	}
	for i := range n.args {
		if !kind(&n.args[i]) {
			return false
		}
	}
	return true
}

// isCondition tells what holds or does not.
func (n *node) isCondition() bool {
	return n.op <= opContains
}

// isOperand tells what has a value in a condition.
func (n *node) isOperand() bool { return n.op == opPath || n.op == opValue || n.op == opSize }

// isAssigned tells what has a value in a SET.
func (n *node) isAssigned() bool {
	return n.op == opPath || n.op == opValue || opIfNotExists <= n.op && n.op <= opMinus
}
