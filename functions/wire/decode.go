package wire

import (
	"errors"
	"sync"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/item/jsonscan"
)

// Decode reads a request body into the operation's input and checks it against
// the API model. The error is an *apierr.Error as the client is to see it.
// Strings of the input share one copy of body, which the caller may reuse.
func Decode(op Operation, body []byte) (Input, error) {
	in := newInput(op)
	if in == nil {
		return nil, apierr.New(apierr.UnknownOperation, "")
	}
	d := decoders.Get().(*decoder)
	d.reset(op, body)
	d.body(in)
	err := d.err
	if err == nil {
		older := readsOlder(in, d.deep)
		if err = d.check.validate(op, in, older); err == nil && older {
			err = refuseReturn(in)
		}
	}
	if err == nil {
		err = d.bad
	}
	batch := d.batch
	d.release()
	if err != nil {
		return nil, err
	}
	switch in := in.(type) {
	case *BatchExecuteStatementInput:
		return &BatchStatements{in, batch.faults}, nil
	case *TransactWriteItemsInput:
		return &TransactActions{in, batch.faults, batch.late}, nil
	}
	return in, nil
}

// IsJSON tells whether a body is JSON at all.
func IsJSON(body []byte) bool {
	var s jsonscan.Scanner
	s.Init(body)
	return s.Skip() == nil && s.Finish() == nil
}

// decoders recycles decoders with their scratch space.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// place is where in the model a value stands; it decides how DynamoDB words a
// wrong type.
type place uint8

const (
	asField   place = iota // a structure's member
	asElement              // a list's element or a map's value
)

// decoder reads one body. The first error sticks: every method is harmless
// afterwards, and next and element end their loops.
type decoder struct {
	s    jsonscan.Scanner
	op   Operation
	name []byte // the member that next found; valid until the next call
	err  error
	// bad is the first fault inside an attribute value. DynamoDB reports it only
	// when the request's shape is in order.
	bad error
	// deep: a value nests so deep that a single-item write reads the request in
	// the older form.
	deep  bool
	batch statements
	check validator
}

// release gives the decoder back, without a hold on the request.
func (d *decoder) release() {
	clear(d.check.path[:cap(d.check.path)])
	d.check = validator{path: d.check.path[:0]}
	d.reset(0, nil)
	decoders.Put(d)
}

func (d *decoder) reset(op Operation, body []byte) {
	d.s.Init(body)
	d.op, d.name, d.err, d.bad, d.deep, d.batch = op, nil, nil, nil, false, statements{}
}

// body reads the whole document.
func (d *decoder) body(in Input) {
	if d.s.Peek() == jsonscan.Null {
		d.refuse("")
	} else if d.open(asElement, d.op.String()+"Input") {
		in.decode(d)
	}
	if d.err == nil {
		d.fail(d.s.Finish())
	}
}

// fail keeps the first error; text that is not JSON is refused without a message.
func (d *decoder) fail(err error) {
	if err == nil || d.err != nil {
		return
	}
	var syntax *jsonscan.Error
	if errors.As(err, &syntax) || apierr.Of(err) == nil {
		err = apierr.New(apierr.Serialization, "")
	}
	d.err = err
}

// refuse fails with a SerializationException.
func (d *decoder) refuse(message string) { d.fail(apierr.New(apierr.Serialization, message)) }

// next goes to the next member of the open object or map; false at its end.
func (d *decoder) next() bool {
	if d.err != nil {
		return false
	}
	name, ok, err := d.s.NextKey()
	d.name = name
	d.fail(err)
	return ok && err == nil
}

// element goes to the next element of the open list; false at its end.
func (d *decoder) element() bool {
	if d.err != nil {
		return false
	}
	ok, err := d.s.NextElem()
	d.fail(err)
	return ok && err == nil
}

func (d *decoder) skip() {
	if d.err == nil {
		d.fail(d.s.Skip())
	}
}

// null takes a null, which stands for an absent member, and tells whether it
// did; true also after an error, so that callers leave the member alone.
func (d *decoder) null() bool {
	if d.err != nil {
		return true
	}
	if d.s.Peek() != jsonscan.Null {
		return false
	}
	d.fail(d.s.Null())
	return true
}

// The messages for a value of the wrong kind.
const (
	unexpectedStart   = "Start of structure or map found where not expected"
	unexpectedField   = "Unexpected field type"
	unexpectedPayload = "Unexpected value type in payload"
	unexpectedToken   = "Unexpected token received from parser"
	unrecognized      = "Unrecognized collection type "
	modelPackage      = "com.amazonaws.dynamodb.v20120810."
	badCast           = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"
)

// open takes the '{' of a structure of the model; false when it is absent.
func (d *decoder) open(at place, structure string) bool {
	if structure == "BatchStatementRequest" || structure == "TransactWriteItem" {
		d.batch.seen++
	}
	if d.null() {
		return false
	}
	switch d.s.Peek() {
	case jsonscan.Object:
		d.fail(d.s.BeginObject())
		return d.err == nil
	case jsonscan.Array:
		d.refuse(unrecognized + "class " + modelPackage + structure)
	case jsonscan.Bad, jsonscan.End:
		d.skip()
	default:
		if at == asField {
			d.refuse(unexpectedField)
		} else {
			d.refuse(unexpectedPayload)
		}
	}
	return false
}

// list takes a '['; false when the list is absent.
func (d *decoder) list(at place) bool {
	if d.null() {
		return false
	}
	switch d.s.Peek() {
	case jsonscan.Array:
		d.fail(d.s.BeginArray())
		return d.err == nil
	case jsonscan.Object:
		d.refuse(unexpectedStart)
	default:
		d.collection(at)
	}
	return false
}

// mapping takes the '{' of a map with values of the Java type.
func (d *decoder) mapping(at place, valueType string) bool {
	if d.null() {
		return false
	}
	switch d.s.Peek() {
	case jsonscan.Object:
		d.fail(d.s.BeginObject())
		return d.err == nil
	case jsonscan.Array:
		d.refuse(unrecognized + "java.util.Map<java.lang.String, " + valueType + ">")
	default:
		d.collection(at)
	}
	return false
}

// collection refuses a scalar in the place of a list or map.
func (d *decoder) collection(at place) {
	switch k := d.s.Peek(); {
	case k == jsonscan.Bad || k == jsonscan.End:
		d.skip()
	case at == asField:
		d.refuse(unexpectedField)
	default:
		d.refuse(badCast)
	}
}

// item reads a map of attribute values.
func (d *decoder) item(dst *item.Item, at place) {
	if d.null() {
		return
	}
	switch d.s.Peek() {
	case jsonscan.Object:
	case jsonscan.Array:
		d.refuse(unrecognized + "java.util.Map<java.lang.String, " + modelPackage + "AttributeValue>")
		return
	default:
		d.collection(at)
		return
	}
	start := d.s // cheap; where to look for a faulty value's key
	it, err := item.DecodeItem(&d.s)
	if it == nil {
		it = item.Item{} // present, if empty or refused
	}
	*dst = it
	if err != nil {
		d.postpone(err, start)
	}
}

// value reads one attribute value.
func (d *decoder) value(dst *item.Value, at place) {
	if d.null() {
		return
	}
	switch d.s.Peek() {
	case jsonscan.Object:
	case jsonscan.Array:
		d.refuse(unrecognized + "class " + modelPackage + "AttributeValue")
		return
	case jsonscan.Bad, jsonscan.End:
		d.skip()
		return
	default:
		if at == asField {
			d.refuse(unexpectedField)
		} else {
			d.refuse(unexpectedPayload)
		}
		return
	}
	v, err := item.DecodeValue(&d.s)
	*dst = v
	if err != nil {
		d.postpone(err, jsonscan.Scanner{})
	}
}

// postpone keeps a fault of an attribute value for later; the scanner stands
// behind the value. When the value was a map, it began at start.
func (d *decoder) postpone(err error, start jsonscan.Scanner) {
	var fault *item.ValueError
	if !errors.As(err, &fault) {
		d.fail(err)
		return
	}
	d.deep = d.deep || fault.Abyss
	if d.op == BatchExecuteStatement || d.op == TransactWriteItems {
		d.batch.keep(d.op, fault)
		return
	}
	if d.bad != nil {
		return
	}
	key := ""
	if d.op == Scan && string(d.name) == "ExpressionAttributeValues" {
		key = faultyKey(start)
	}
	d.bad = d.op.valueError(fault, key)
}

// faultyKey finds the key of the first faulty value in the map at s.
func faultyKey(s jsonscan.Scanner) string {
	if s.BeginObject() != nil {
		return ""
	}
	for {
		name, ok, err := s.NextName()
		if !ok || err != nil {
			return ""
		}
		if _, err := item.DecodeValue(&s); err != nil {
			return name
		}
	}
}

// put sets an entry of a map; a repeated key keeps its place.
func put[T any](m Map[T], key string, v T) Map[T] {
	for i := range m {
		if m[i].Key == key {
			m[i].Value = v
			return m
		}
	}
	return append(m, Entry[T]{key, v})
}
