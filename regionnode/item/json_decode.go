package item

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item/jsonscan"
)

// DecodeItem takes an item in DynamoDB JSON, {"a":{"S":"x"},…}. Of attributes
// named twice the last wins; those that are null count as absent.
//
// A wrong JSON type or bad base64 is a SerializationException (an
// *apierr.Error), broken JSON a *jsonscan.Error: both end the decoding, as they
// do in DynamoDB before anything else is looked at. A value that DynamoDB
// refuses only after checks of the request is a *ValueError: then the scanner
// stands behind the item and the caller may go on and report the fault in its
// turn; of several faults DynamoDB's first is reported, and the item holds no
// value in the faulty places.
func DecodeItem(s *jsonscan.Scanner) (Item, error) {
	d := decoder{Scanner: s}
	it, err := d.item(1)
	if err == nil {
		err = d.result()
	}
	return it, err
}

// DecodeValue takes one value in DynamoDB JSON, {"S":"x"}, with DecodeItem's
// errors.
func DecodeValue(s *jsonscan.Scanner) (Value, error) {
	d := decoder{Scanner: s}
	v, err := d.value(1)
	if err == nil {
		err = d.result()
	}
	return v, err
}

// decoder collects the fault to report while it goes through a value.
type decoder struct {
	*jsonscan.Scanner
	fault *ValueError
	abyss bool
}

// abyss is the last level above the one that ValueError.Abyss tells of.
const abyss = 63

// result is the fault to report, if any.
func (d *decoder) result() error {
	if d.fault == nil {
		return nil
	}
	d.fault.Abyss = d.abyss
	return d.fault
}

// refuse notes a fault; the first counts. But DynamoDB looks at an item's own
// attribute names before the depth, and at the depth before the names inside.
func (d *decoder) refuse(e *ValueError, level int) {
	switch {
	case d.fault == nil,
		e.Fault == EmptyName && level == 1 && d.fault.Fault == TooDeep,
		e.Fault == TooDeep && d.fault.Fault == EmptyName && d.fault.nested:
		e.nested = level > 1
		d.fault = e
	}
}

func serialization(message string) error { return apierr.New(apierr.Serialization, message) }

// structure is the refusal of an object or array in a place for want.
func (d *decoder) structure(k jsonscan.Kind, want string) error {
	if k == jsonscan.Array {
		return serialization("Unrecognized collection type " + want)
	}
	return serialization("Start of structure or map found where not expected")
}

// item takes the entries of an object; level is that of their values.
func (d *decoder) item(level int) (Item, error) {
	switch k := d.Peek(); k {
	case jsonscan.Object:
	case jsonscan.Array:
		return nil, d.structure(k, "java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>")
	case jsonscan.End, jsonscan.Bad:
		return nil, d.Skip()
	default:
		return nil, serialization("Unexpected field type")
	}
	if err := d.BeginObject(); err != nil {
		return nil, err
	}
	var buf [12]Field
	fields := buf[:0]
	sorted := true
	for {
		name, ok, err := d.NextName()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if d.Peek() == jsonscan.Null {
			if err := d.Null(); err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case name == "":
			d.refuse(&ValueError{Fault: EmptyName}, level)
		case len(name) > MaxNameSize:
			d.refuse(&ValueError{Fault: LongName}, level)
		}
		v, err := d.value(level)
		if err != nil {
			return nil, err
		}
		if n := len(fields); n > 0 && fields[n-1].Name >= name {
			sorted = false
		}
		fields = append(fields, Field{name, v})
	}
	if !sorted {
		fields = sortFields(fields)
	}
	return slices.Clone(fields), nil
}

// value takes one {"S":"x"}.
func (d *decoder) value(level int) (Value, error) {
	switch k := d.Peek(); k {
	case jsonscan.Object:
	case jsonscan.Array:
		return Value{}, d.structure(k, "class com.amazonaws.dynamodb.v20120810.AttributeValue")
	case jsonscan.End, jsonscan.Bad:
		return Value{}, d.Skip()
	default:
		return Value{}, serialization("Unexpected value type in payload")
	}
	if level > MaxDepth {
		d.refuse(&ValueError{Fault: TooDeep}, level)
		if level > abyss {
			d.abyss = true
			return Value{}, d.Skip()
		}
	}
	if err := d.BeginObject(); err != nil {
		return Value{}, err
	}
	var v Value
	types := 0
	for {
		key, ok, err := d.NextKey()
		if err != nil {
			return Value{}, err
		}
		if !ok {
			break
		}
		k := kindNamed(key)
		if k == Invalid || d.Peek() == jsonscan.Null {
			if err := d.Skip(); err != nil {
				return Value{}, err
			}
			continue
		}
		types++
		if v, err = d.content(k, level); err != nil {
			return Value{}, err
		}
	}
	switch {
	case types == 0:
		d.refuse(&ValueError{Fault: NoType}, level)
	case types > 1:
		d.refuse(&ValueError{Fault: ManyTypes}, level)
		return Value{}, nil
	}
	return v, nil
}

func kindNamed(key []byte) Kind {
	switch string(key) {
	case "S":
		return S
	case "N":
		return N
	case "B":
		return B
	case "BOOL":
		return BOOL
	case "NULL":
		return NULL
	case "M":
		return M
	case "L":
		return L
	case "SS":
		return SS
	case "NS":
		return NS
	case "BS":
		return BS
	}
	return Invalid
}

func (d *decoder) content(k Kind, level int) (Value, error) {
	switch k {
	case S:
		s, err := d.text()
		return Str(s), err
	case N:
		s, err := d.text()
		return d.number(s, level), err
	case B:
		s, err := d.binary()
		return Bin(s), err
	case BOOL:
		b, err := d.boolean()
		return Bool(b), err
	case NULL:
		b, err := d.boolean()
		if !b {
			d.refuse(&ValueError{Fault: FalseNull}, level)
		}
		return Null(), err
	case M:
		it, err := d.item(level + 1)
		return Map(it), err
	}
	return d.elems(k, level)
}

func (d *decoder) number(s string, level int) Value {
	n, err := ParseNumber(s)
	if fault, bad := errors.AsType[*ValueError](err); bad {
		d.refuse(fault, level)
		return Value{}
	}
	return Num(n)
}

// text takes a string; other scalars are refused by name.
func (d *decoder) text() (string, error) {
	switch k := d.Peek(); k {
	case jsonscan.String:
		return d.String()
	case jsonscan.Object, jsonscan.Array:
		return "", d.structure(k, "class java.lang.String")
	default:
		return "", d.cannot(k, "String")
	}
}

// cannot is the refusal of a scalar that the type at hand does not take.
func (d *decoder) cannot(k jsonscan.Kind, want string) error {
	var token string
	switch k {
	case jsonscan.True:
		token = "TRUE_VALUE"
	case jsonscan.False:
		token = "FALSE_VALUE"
	case jsonscan.Number:
		n, err := d.Number()
		if err != nil {
			return err
		}
		token = "NUMBER_VALUE"
		if strings.ContainsAny(n, ".eE") {
			token = "DECIMAL_VALUE"
		}
	default:
		return d.Skip()
	}
	return serialization(token + " cannot be converted to " + want)
}

// boolean takes true or false; the words that DynamoDB takes too are strings.
func (d *decoder) boolean() (bool, error) {
	switch k := d.Peek(); k {
	case jsonscan.True, jsonscan.False:
		return d.Bool()
	case jsonscan.Object, jsonscan.Array:
		return false, d.structure(k, "class java.lang.Boolean")
	case jsonscan.String:
		s, err := d.String()
		if err != nil {
			return false, err
		}
		switch strings.ToLower(s) {
		case "true", "yes", "1":
			return true, nil
		case "false", "no", "0":
			return false, nil
		}
		return false, serialization("Unexpected token received from parser")
	default:
		return false, d.cannot(k, "Boolean")
	}
}

// binary takes base64, strictly: padded, nothing left over in the last digit.
func (d *decoder) binary() (string, error) {
	switch k := d.Peek(); k {
	case jsonscan.String:
	case jsonscan.Object, jsonscan.Array:
		return "", d.structure(k, "class java.nio.ByteBuffer")
	case jsonscan.End, jsonscan.Bad:
		return "", d.Skip()
	default:
		return "", serialization("only base-64-encoded strings are convertible to bytes")
	}
	text, err := d.Bytes(nil)
	if err != nil {
		return "", err
	}
	if len(text)%4 != 0 {
		return "", serialization("Base64 encoded length is expected a multiple of 4 bytes but found: " + strconv.Itoa(len(text)))
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := strictBase64.Decode(raw, text)
	if err != nil || slices.Contains(text, '\n') || slices.Contains(text, '\r') {
		return "", serialization("Unexpected value type in payload")
	}
	return view(raw[:n]), nil
}

var strictBase64 = base64.StdEncoding.Strict()

// elems takes the array of an L or a set.
func (d *decoder) elems(k Kind, level int) (Value, error) {
	switch next := d.Peek(); next {
	case jsonscan.Array:
	case jsonscan.Object:
		return Value{}, d.structure(next, "")
	case jsonscan.End, jsonscan.Bad:
		return Value{}, d.Skip()
	default:
		return Value{}, serialization("Unexpected field type")
	}
	if err := d.BeginArray(); err != nil {
		return Value{}, err
	}
	var buf [8]Value
	vs := buf[:0]
	for {
		ok, err := d.NextElem()
		if err != nil {
			return Value{}, err
		}
		if !ok {
			break
		}
		v, err := d.elem(k, level)
		if err != nil {
			return Value{}, err
		}
		vs = append(vs, v)
	}
	elems := slices.Clone(vs)
	out := list(k, elems)
	if k.IsSet() {
		d.checkSet(out, level)
		if d.fault == nil {
			sortSet(elems)
		}
	}
	return out, nil
}

func (d *decoder) elem(k Kind, level int) (Value, error) {
	if d.Peek() == jsonscan.Null {
		d.refuse(&ValueError{Fault: NullElement, Set: k}, level)
		return Value{}, d.Null()
	}
	switch k {
	case L:
		return d.value(level + 1)
	case NS:
		return d.content(N, level)
	case BS:
		return d.content(B, level)
	}
	return d.content(S, level)
}

// checkSet refuses an empty set and one that names an element twice.
func (d *decoder) checkSet(set Value, level int) {
	elems := set.Elems()
	switch {
	case len(elems) == 0:
		d.refuse(&ValueError{Fault: EmptySet, Set: set.kind}, level)
	case d.fault == nil && hasDuplicates(elems):
		e := &ValueError{Fault: DuplicateElement, Set: set.kind}
		for _, v := range elems {
			switch v.kind {
			case B:
				e.Elems = append(e.Elems, base64.StdEncoding.EncodeToString([]byte(v.Text())))
			case N:
				e.Elems = append(e.Elems, v.Number().String())
			default:
				e.Elems = append(e.Elems, v.Text())
			}
		}
		d.refuse(e, level)
	}
}

func hasDuplicates(elems []Value) bool {
	if len(elems) <= 8 {
		for i, a := range elems {
			for _, b := range elems[:i] {
				if Compare(a, b) == 0 {
					return true
				}
			}
		}
		return false
	}
	sorted := slices.SortedFunc(slices.Values(elems), Compare)
	for i := range sorted[1:] {
		if Compare(sorted[i], sorted[i+1]) == 0 {
			return true
		}
	}
	return false
}
