// Package wire is DynamoDB JSON 1.0 at the edge: it turns a request body into
// the operation's input, refuses what the API model refuses in DynamoDB's own
// words, and writes answers and errors. It is generated from the service model
// (zz_*.go, by .ci/wiregen) around a few hand-written files. It knows no HTTP
// beyond header values, no tables, no expressions and no storage.
//
// # Reading a request
//
//	op, ok := wire.ParseTarget(header)  // "DynamoDB_20120810.PutItem" → wire.PutItem
//	in, err := wire.Decode(op, body)    // *wire.PutItemInput; err is a finished *apierr.Error
//
// Every operation X of DynamoDB, of DynamoDB Streams and of our own service, whose
// model is model/antipode (in botocore's layout, so that SDKs can load it), has a
// constant X and a struct XInput. Members are named as in the model:
//
//   - string, enum, boolean, number, timestamp: Opt[T] with Set and Value; a
//     member that is absent or null has Set false.
//   - structure: pointer, nil when absent.
//   - list: slice, nil when absent, empty but not nil for [].
//   - map: Map[T], a slice of entries in the request's order, keys unique, nil
//     when absent; Get looks a key up.
//   - AttributeValue: item.Value, of Kind Invalid when absent; a list of them is
//     []item.Value; a map of them item.Item, nil when absent, empty but not nil
//     for {}.
//
// Decode is strict: a JSON value of the wrong type is a SerializationException.
// Unknown members are ignored. Then the model's constraints are checked
// (required, length, range, pattern, enum) and their violations reported as one
// ValidationException. A fault inside an attribute value (an empty set, a bad
// number) is reported only when the shape is in order.
//
// Whatever a handler checks afterwards without looking at the table (expression
// syntax, unused placeholders, mixed old and new parameters) DynamoDB reports
// from PutItem, UpdateItem and DeleteItem inside the validation envelope: pass
// such errors through op.Envelope.
//
// # Writing an answer
//
//	w := wire.NewWriter()
//	defer w.Free()
//	w.BeginObject()
//	w.Name("Item").Item(encoded)        // item.Encoded
//	w.Name("Count").Int(1)
//	w.Name("CreationDateTime").Time(t)  // epoch seconds with fraction
//	w.EndObject()
//	body := w.Bytes()                   // valid until Free
//
// Commas are the Writer's business. AppendError makes an error's body, Checksum
// the x-amz-crc32 header, RequestID the x-amzn-RequestId header, ContentType is
// the Content-Type of both.
package wire
