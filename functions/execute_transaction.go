package functions

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/partiql"
	"antipode/regionnode/table"
)

// transactStatement is one statement of a transaction: a write, a condition, or
// a read by key.
type transactStatement struct {
	b       *partiql.Bound
	d       *table.Descriptor
	key     []byte
	write   *regionnode.Write // nil for a SELECT
	read    *partiql.Read
	refusal *apierr.Error // what cancels the transaction before it begins
}

func executeTransaction(c *call, in *wire.ExecuteTransactionInput) error {
	backend, ok := c.backend.(regionnode.Transactions)
	if !ok {
		return absent(c.op)
	}
	all, reads, err := bindTransaction(in.TransactStatements)
	if err != nil {
		return err
	}
	for i := range all {
		if err := c.planTransacted(&all[i], &in.TransactStatements[i]); err != nil {
			return inStatement(i, err)
		}
	}
	if err := checkTransacted(all); err != nil {
		return err
	}
	if reads {
		return c.transactReads(backend, all, in)
	}
	return c.transactWrites(backend, all, in)
}

// inStatement says which statement a refusal of the whole request is about.
func inStatement(i int, err error) error {
	e := apierr.Of(err)
	if e == nil || e.Code != apierr.Validation {
		return err
	}
	return apierr.Invalid("Validation failed in TransactStatements[%d]: %s", i, e.Message)
}

// bindTransaction parses all statements, which must all read or all write.
func bindTransaction(in []wire.ParameterizedStatement) (all []transactStatement, reads bool, err error) {
	all = make([]transactStatement, len(in))
	count := 0
	for i := range in {
		if all[i].b, err = bindStatement(in[i].Statement.Value, in[i].Parameters); err != nil {
			return nil, false, inStatement(i, err)
		}
		if all[i].b.Kind() == partiql.Select {
			count++
		}
	}
	if count > 0 && count < len(all) {
		return nil, false, apierr.Invalid("ExecuteTransaction API does not support both read and write operations in the same request.")
	}
	return all, count > 0, nil
}

// planTransacted plans one statement. What is wrong with its form refuses the
// request; what its table speaks against cancels the transaction.
func (c *call) planTransacted(s *transactStatement, in *wire.ParameterizedStatement) error {
	var err error
	if s.d, err = c.descriptor(s.b.Table()); err != nil {
		return s.cancel(err)
	}
	switch {
	case s.b.Index() != "":
		return apierr.Invalid("Reads on indices are not supported within transactions.")
	case s.b.Returning():
		return apierr.Invalid("RETURNING clause is not supported in ExecuteTransaction.")
	case s.b.Kind() == partiql.Select:
		return s.planRead()
	}
	s.write, err = planWrite(s.b, s.d)
	switch {
	case err == nil:
	case s.b.Kind() == partiql.Exists && !isKeyError(err):
		return err
	default:
		return s.cancel(err)
	}
	s.key = s.write.Key
	s.write.ReturnOnFailure = in.ReturnValuesOnConditionCheckFailure.Value == "ALL_OLD"
	return nil
}

func (s *transactStatement) planRead() error {
	key, read, ok, err := s.b.Get(s.d)
	switch {
	case isKeyError(err):
		return s.cancel(err)
	case err != nil:
		return err
	case !ok:
		return apierr.Invalid("Select statements within ExecuteTransaction must specify the primary key in the where clause.")
	}
	if err := checkKeyValues(s.d.Key, key); err != nil {
		return s.cancel(err)
	}
	s.read = read
	s.key, err = s.d.Key.Key(nil, key)
	return err
}

func isKeyError(err error) bool {
	var e *partiql.KeyError
	return errors.As(err, &e)
}

// cancel books an error as the statement's reason to cancel the transaction, if
// it is one for which the client can be blamed.
func (s *transactStatement) cancel(err error) error {
	if isKeyError(err) {
		err = errKeySchema()
	}
	e := apierr.Of(err)
	if e == nil || e.Code != apierr.Validation && e.Code != apierr.ResourceNotFound {
		return err
	}
	s.refusal = e
	return nil
}

// checkTransacted cancels a transaction that cannot begin, and refuses two
// statements on one item.
func checkTransacted(all []transactStatement) error {
	reasons := make([]apierr.Reason, len(all))
	refused := false
	for i := range all {
		reasons[i].Code = "None"
		if all[i].refusal != nil {
			reasons[i], refused = reasonOf(all[i].refusal), true
		}
	}
	if refused {
		return canceled(reasons)
	}
	for i := range all {
		for j := range i {
			if all[i].d.ID == all[j].d.ID && bytes.Equal(all[i].key, all[j].key) {
				return apierr.Invalid("Transaction request cannot include multiple operations on one item")
			}
		}
	}
	return nil
}

func (c *call) transactReads(backend regionnode.Transactions, all []transactStatement, in *wire.ExecuteTransactionInput) error {
	var r regionnode.TransactGetRequest
	for i := range all {
		r.Reads = append(r.Reads, regionnode.TableRead{Table: all[i].d.ID, Key: all[i].key, Projection: all[i].read.Projection})
	}
	resp, err := backend.TransactGet(c.ctx, &r)
	if err != nil {
		return err
	}
	used := transacted{member: "ReadCapacityUnits"}
	w := c.out
	w.BeginObject().Name("Responses").BeginArray()
	for i := range all {
		got := &resp.Items[i]
		used.add(all[i].b.Table(), capacity{table: readUnits(got.Size, true)})
		w.BeginObject()
		if len(got.Item) > 0 {
			w.Name("Item")
			if err := writeColumns(w, all[i].read.Columns, got.Item); err != nil {
				return err
			}
		}
		w.EndObject()
	}
	w.EndArray()
	used.writeMember(w, in.ReturnConsumedCapacity.Value)
	w.EndObject()
	return nil
}

func (c *call) transactWrites(backend regionnode.Transactions, all []transactStatement, in *wire.ExecuteTransactionInput) error {
	r := regionnode.TransactWriteRequest{}
	if in.ClientRequestToken.Value != "" {
		r.Token, r.Digest = c.account+"/"+in.ClientRequestToken.Value, statementsDigest(in)
	}
	for i := range all {
		r.Writes = append(r.Writes, regionnode.TableWrite{Table: all[i].d.ID, Write: *all[i].write})
	}
	resp, err := backend.TransactWrite(c.ctx, &r)
	if err != nil {
		return statementReasons(all, err)
	}
	used := transacted{member: "WriteCapacityUnits"}
	if resp.Replayed {
		used.member = "ReadCapacityUnits"
	}
	for i := range all {
		var one capacity
		if resp.Replayed {
			one.table = readUnits(resp.Usages[i].NewSize, true)
		} else {
			one.addWrite(all[i].d, &resp.Usages[i])
		}
		used.add(all[i].b.Table(), one)
	}
	w := c.out
	w.BeginObject().Name("Responses").BeginArray().EndArray()
	used.writeMember(w, in.ReturnConsumedCapacity.Value)
	w.EndObject()
	return nil
}

// statementsDigest is equal for requests with equal statements and parameters.
func statementsDigest(in *wire.ExecuteTransactionInput) []byte {
	h := sha256.New()
	part := func(b []byte) {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(b)))) // a hash does not fail
		_, _ = h.Write(b)
	}
	for i := range in.TransactStatements {
		s := &in.TransactStatements[i]
		part([]byte(s.Statement.Value))
		part(binary.AppendUvarint(nil, uint64(len(s.Parameters))))
		for _, p := range s.Parameters {
			part(p.AppendEncoded(nil))
		}
	}
	return h.Sum(nil)
}

// statementReasons words the reasons of a canceled transaction as statements
// do: an INSERT's condition is that there is no such item.
func statementReasons(all []transactStatement, err error) error {
	e := apierr.Of(err)
	if e == nil || e.Code != apierr.TransactionCanceled || len(e.Reasons) != len(all) {
		return err
	}
	reasons := make([]apierr.Reason, len(all))
	for i, r := range e.Reasons {
		one := &apierr.Error{Code: apierr.Validation, Message: r.Message}
		if r.Code == shortCode(apierr.ConditionalCheckFailed) {
			one.Code = apierr.ConditionalCheckFailed
		}
		reasons[i] = r
		if worded := apierr.Of(statementError(all[i].b, one)); worded != one {
			reasons[i] = reasonOf(worded)
		}
	}
	return canceled(reasons)
}
