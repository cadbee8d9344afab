package wire

import (
	"hash/crc32"
	"strconv"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
)

// AppendError appends an error's body: __type with the shape's full name, the
// message under the name that the shape gives it, and what else the code
// carries. An empty message is left out.
func AppendError(dst []byte, e *apierr.Error) []byte {
	w := Writer{buf: dst}
	w.buf = append(w.buf, '{')
	w.Name("__type").String(e.Code.Namespace() + "#" + string(e.Code))
	if len(e.Item) > 0 {
		w.Name("Item").Item(e.Item)
	}
	if e.Reasons != nil {
		w.Name("CancellationReasons").BeginArray()
		for _, r := range e.Reasons {
			appendReason(&w, r)
		}
		w.EndArray()
	}
	if e.Message != "" {
		w.Name(messageName(e.Code)).String(e.Message)
	}
	w.EndObject()
	return w.buf
}

func appendReason(w *Writer, r apierr.Reason) {
	w.BeginObject()
	w.Name("Code").String(r.Code)
	if len(r.Item) > 0 {
		w.Name("Item").Item(item.Encoded(r.Item))
	}
	if r.Message != "" {
		w.Name("Message").String(r.Message)
	}
	w.EndObject()
}

// messageName is what the shape calls its text. Two of the common errors, which
// are in no model, spell it in upper case too.
func messageName(c apierr.Code) string {
	if c == apierr.Serialization || c == apierr.AccessDenied || upperMessage[string(c)] {
		return "Message"
	}
	return "message"
}

// Checksum is the value of x-amz-crc32: the CRC-32 (IEEE) of the body as sent.
func Checksum(body []byte) string {
	return strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)
}

const requestIDDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

// requestIDLen is the length of DynamoDB's request ids.
const requestIDLen = 52

// RequestID makes a value for x-amzn-RequestId from 64-bit random numbers.
func RequestID(random func() uint64) string {
	var id [requestIDLen]byte
	var bits uint64
	for i := range id {
		if i%12 == 0 { // twelve digits of five bits out of each number
			bits = random()
		}
		id[i] = requestIDDigits[bits&31]
		bits >>= 5
	}
	return string(id[:])
}
