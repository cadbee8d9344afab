// Package jsonscan reads JSON (RFC 8259, UTF-8) from one slice, token by token,
// strictly and with few allocations. It knows nothing of what the JSON means.
package jsonscan

import "fmt"

// Kind is what comes next.
type Kind uint8

// The kinds of values. End is the end of the input; Bad is a byte that starts
// no value.
const (
	Bad Kind = iota
	End
	Object
	Array
	String
	Number
	True
	False
	Null
)

var kindNames = [...]string{"no value", "end of input", "object", "array", "string", "number", "true", "false", "null"}

// String names the kind for messages.
func (k Kind) String() string { return kindNames[k] }

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 1000

// Error is a refusal of the input: what was wrong, and at which byte.
type Error struct {
	Offset int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("json: %s at byte %d", e.Reason, e.Offset) }

// Scanner is a cursor over JSON. Each reading method takes the value that Peek
// announces and leaves the cursor behind it; called on another kind it returns
// an error and stays. After an error only Offset is of use.
//
//	for {
//		key, ok, err := s.NextKey() // after BeginObject
//		if err != nil || !ok { break }
//		// take or Skip the value
//	}
type Scanner struct {
	data  []byte
	pos   int
	depth int
	// fresh is true between the start of an object or array and its first key
	// or element.
	fresh bool
	// text is one copy of data, made for the first String, that all strings
	// without escapes share.
	text string
	// key holds the last key if it had escapes.
	key []byte
}

// Init starts over on data, which must not change while the scanner is in use.
// Strings that the scanner returned stay valid.
func (s *Scanner) Init(data []byte) { *s = Scanner{data: data, key: s.key[:0]} }

// Offset is the cursor: the number of bytes taken so far.
func (s *Scanner) Offset() int { return s.pos }

// Depth is how many objects and arrays are open at the cursor.
func (s *Scanner) Depth() int { return s.depth }

func (s *Scanner) fail(reason string) error { return &Error{Offset: s.pos, Reason: reason} }

// unexpected is the error for a value of another kind than want.
func (s *Scanner) unexpected(want string) error {
	return s.fail("expected " + want + ", found " + s.Peek().String())
}

func (s *Scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// kindOf maps a value's first byte.
var kindOf = [256]Kind{
	'{': Object, '[': Array, '"': String, 't': True, 'f': False, 'n': Null, '-': Number,
	'0': Number, '1': Number, '2': Number, '3': Number, '4': Number,
	'5': Number, '6': Number, '7': Number, '8': Number, '9': Number,
}

// Peek tells what comes next, by its first byte.
func (s *Scanner) Peek() Kind {
	s.space()
	if s.pos == len(s.data) {
		return End
	}
	return kindOf[s.data[s.pos]]
}

// Finish checks that nothing but space is left.
func (s *Scanner) Finish() error {
	if k := s.Peek(); k != End {
		return s.fail("expected end of input, found " + k.String())
	}
	return nil
}

func (s *Scanner) open(k Kind) error {
	if s.Peek() != k {
		return s.unexpected(k.String())
	}
	if s.depth == MaxDepth {
		return s.fail("nested too deep")
	}
	s.depth++
	s.pos++
	s.fresh = true
	return nil
}

func (s *Scanner) close() {
	s.depth--
	s.pos++
	s.fresh = false
}

// BeginObject takes a '{'; NextKey follows.
func (s *Scanner) BeginObject() error { return s.open(Object) }

// BeginArray takes a '['; NextElem follows.
func (s *Scanner) BeginArray() error { return s.open(Array) }

// next goes to the next entry of an object or array: false when end closes it.
func (s *Scanner) next(end byte) (bool, error) {
	s.space()
	if s.pos == len(s.data) {
		return false, s.fail("unexpected end of input")
	}
	c := s.data[s.pos]
	switch {
	case c == end:
		s.close()
		return false, nil
	case s.fresh:
		s.fresh = false
		return true, nil
	case c != ',':
		return false, s.fail("expected ',' or '" + string(end) + "'")
	}
	s.pos++
	return true, nil
}

// NextKey goes to the next entry of an object and takes its key and the colon;
// false when the object ended. The key is valid until the next call.
func (s *Scanner) NextKey() (key []byte, ok bool, err error) {
	if ok, err = s.next('}'); !ok || err != nil {
		return nil, false, err
	}
	start, end, plain, err := s.span()
	if err != nil {
		return nil, false, err
	}
	key = s.data[start:end]
	if !plain {
		s.key = s.unescape(s.key[:0], start, end)
		key = s.key
	}
	return key, true, s.colon()
}

// NextName is NextKey with the key as a string that stays valid.
func (s *Scanner) NextName() (name string, ok bool, err error) {
	if ok, err = s.next('}'); !ok || err != nil {
		return "", false, err
	}
	if name, err = s.String(); err != nil {
		return "", false, err
	}
	return name, true, s.colon()
}

func (s *Scanner) colon() error {
	s.space()
	if s.pos == len(s.data) || s.data[s.pos] != ':' {
		return s.fail("expected ':'")
	}
	s.pos++
	return nil
}

// NextElem goes to the next element of an array; false when the array ended.
func (s *Scanner) NextElem() (bool, error) { return s.next(']') }

func (s *Scanner) literal(k Kind, text string) error {
	if s.Peek() != k {
		return s.unexpected(k.String())
	}
	if len(s.data)-s.pos < len(text) || string(s.data[s.pos:s.pos+len(text)]) != text {
		return s.fail("expected " + text)
	}
	s.pos += len(text)
	s.fresh = false
	return nil
}

// Bool takes true or false.
func (s *Scanner) Bool() (bool, error) {
	switch s.Peek() {
	case True:
		return true, s.literal(True, "true")
	case False:
		return false, s.literal(False, "false")
	}
	return false, s.unexpected("true or false")
}

// Null takes null.
func (s *Scanner) Null() error { return s.literal(Null, "null") }

// Number takes a number and returns its text, checked but not converted.
func (s *Scanner) Number() (string, error) {
	b, err := s.number()
	return string(b), err
}

func (s *Scanner) number() ([]byte, error) {
	if s.Peek() != Number {
		return nil, s.unexpected(Number.String())
	}
	d, i := s.data, s.pos
	if d[i] == '-' {
		i++
	}
	switch {
	case i < len(d) && d[i] == '0':
		i++
	default:
		if i = s.digits(i); i < 0 {
			return nil, s.fail("bad number")
		}
	}
	if i < len(d) && d[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return nil, s.fail("bad number")
		}
	}
	if i < len(d) && (d[i] == 'e' || d[i] == 'E') {
		i++
		if i < len(d) && (d[i] == '+' || d[i] == '-') {
			i++
		}
		if i = s.digits(i); i < 0 {
			return nil, s.fail("bad number")
		}
	}
	b := d[s.pos:i]
	s.pos = i
	s.fresh = false
	return b, nil
}

// digits passes at least one digit by; -1 if there is none.
func (s *Scanner) digits(i int) int {
	start := i
	for i < len(s.data) && s.data[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// Skip takes any value, checking it.
func (s *Scanner) Skip() error {
	switch s.Peek() {
	case Object:
		return s.skipObject()
	case Array:
		return s.skipArray()
	case String:
		_, _, _, err := s.span()
		return err
	case Number:
		_, err := s.number()
		return err
	case True, False:
		_, err := s.Bool()
		return err
	case Null:
		return s.Null()
	}
	return s.unexpected("a value")
}

func (s *Scanner) skipObject() error {
	err := s.BeginObject()
	for err == nil {
		var ok bool
		if _, ok, err = s.NextKey(); !ok || err != nil {
			break
		}
		err = s.Skip()
	}
	return err
}

func (s *Scanner) skipArray() error {
	err := s.BeginArray()
	for err == nil {
		var ok bool
		if ok, err = s.NextElem(); !ok || err != nil {
			break
		}
		err = s.Skip()
	}
	return err
}

// Raw takes any value, checking it, and returns its bytes, which are part of
// the input.
func (s *Scanner) Raw() ([]byte, error) {
	s.space()
	start := s.pos
	err := s.Skip()
	return s.data[start:s.pos], err
}
