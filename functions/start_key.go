package functions

import (
	"bytes"

	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

const badStart = "The provided starting key is invalid"

// checkStart holds ExclusiveStartKey against the key that selects what is read.
// It must have as many attributes as what is read is ordered by. Without an
// index, a Scan leaves the rest to startKey.
func (rd *read) checkStart(start item.Item) error {
	if start == nil {
		return nil
	}
	direct := rd.query || rd.index != nil
	if len(start) != len(rd.order().Names()) {
		if direct {
			return apierr.New(apierr.Validation, badStart)
		}
		return startError(errKeySchema())
	}
	if !direct {
		return nil
	}
	schema := rd.schema()
	for _, name := range schema.Names() {
		v, ok := start.Get(name)
		if !ok {
			return apierr.New(apierr.Validation, badStart)
		}
		if v.Kind().String() != rd.d.AttributeType(name) {
			return errKeySchema()
		}
	}
	return checkKeyValues(schema, start)
}

// startKey turns ExclusiveStartKey into the full key to continue behind. What it
// has of the table's key must be a key of the table.
func (rd *read) startKey(start item.Item) ([]byte, error) {
	for _, name := range rd.d.Key.Names() {
		if v, ok := start.Get(name); !ok || v.Kind().String() != rd.d.AttributeType(name) {
			return nil, startError(errKeySchema())
		}
	}
	if err := checkKeyValues(rd.d.Key, start); err != nil {
		return nil, startError(err)
	}
	return rd.order().Key(nil, start)
}

// startError words what is wrong with the table's key in ExclusiveStartKey.
func startError(err error) error {
	return apierr.New(apierr.Validation, badStart+": "+apierr.Of(err).Message)
}

// startBehind makes a Query continue behind start, which must be inside the key
// condition.
func (rd *read) startBehind(start item.Item, k *expr.KeyRange) (err error) {
	if rd.r.After, err = rd.startKey(start); err != nil {
		return err
	}
	inCollection := bytes.HasPrefix(rd.r.After, table.HashPrefix(nil, k.Hash))
	if k.Op == expr.RangeNone {
		if !inCollection {
			return apierr.Invalid("The provided starting key is outside query boundaries based on provided conditions")
		}
		return nil
	}
	if !rd.inRange(start, k) {
		return apierr.Invalid("The provided starting key does not match the range key predicate")
	}
	if !inCollection {
		return apierr.Invalid("The query can return at most one row and cannot be restarted")
	}
	return nil
}

// inRange tells whether the key condition's range part holds for start,
// whatever its hash key is.
func (rd *read) inRange(start item.Item, k *expr.KeyRange) bool {
	moved := *k
	moved.Hash = make([]item.Value, len(k.Hash))
	for i, name := range rd.schema().Hash {
		moved.Hash[i], _ = start.Get(name)
	}
	low, high := keyBounds(&moved)
	return bytes.Compare(rd.r.After, low) >= 0 && (high == nil || bytes.Compare(rd.r.After, high) < 0)
}
