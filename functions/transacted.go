package functions

import (
	"strings"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
)

// canceled is the failure of a transaction for reasons of which each element
// has one.
func canceled(reasons []apierr.Reason) *apierr.Error {
	codes := make([]string, len(reasons))
	for i := range reasons {
		codes[i] = reasons[i].Code
	}
	e := apierr.Newf(apierr.TransactionCanceled,
		"Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
	e.Reasons = reasons
	return e
}

// reasonOf words an error as the reason of one element.
func reasonOf(e *apierr.Error) apierr.Reason {
	return apierr.Reason{Code: shortCode(e.Code), Message: e.Message, Item: e.Item}
}

// shortCodes are the codes of failed elements that are not the error's name
// without its ending.
var shortCodes = map[apierr.Code]string{
	apierr.Validation: "ValidationError",
	apierr.Throttling: "ThrottlingError",
}

// shortCode names an error where one of many elements fails with it.
func shortCode(code apierr.Code) string {
	if short, ok := shortCodes[code]; ok {
		return short
	}
	return strings.TrimSuffix(string(code), "Exception")
}

// transacted is what a transaction has consumed, table by table in the order of
// their first mention.
type transacted struct {
	tables []transactedTable
	member string // "ReadCapacityUnits" or "WriteCapacityUnits"
}

type transactedTable struct {
	name string // as the request named it
	used capacity
}

// add charges a table twice what the same read or write would cost alone.
func (t *transacted) add(name string, used capacity) {
	i := 0
	for i < len(t.tables) && t.tables[i].name != name {
		i++
	}
	if i == len(t.tables) {
		t.tables = append(t.tables, transactedTable{name: name})
	}
	t.tables[i].used.add(used)
	t.tables[i].used.add(used)
}

// writeMember writes the ConsumedCapacity member when the request asked for it.
// Of transactions it tells reads from writes.
func (t *transacted) writeMember(w *wire.Writer, mode string) {
	if mode != capacityTotal && mode != capacityIndexes {
		return
	}
	w.Name("ConsumedCapacity").BeginArray()
	for i := range t.tables {
		used := &t.tables[i].used
		w.BeginObject().Name("TableName").String(t.tables[i].name)
		t.units(w, used.total())
		if mode == capacityIndexes {
			w.Name("Table").BeginObject()
			t.units(w, used.table)
			w.EndObject()
			t.indexes(w, "LocalSecondaryIndexes", used, true)
			t.indexes(w, "GlobalSecondaryIndexes", used, false)
		}
		w.EndObject()
	}
	w.EndArray()
}

func (t *transacted) units(w *wire.Writer, units float64) {
	w.Name("CapacityUnits").Float(units).Name(t.member).Float(units)
}

func (t *transacted) indexes(w *wire.Writer, member string, used *capacity, local bool) {
	open := false
	for _, x := range used.indexes {
		if x.local != local {
			continue
		}
		if !open {
			w.Name(member).BeginObject()
			open = true
		}
		w.Name(x.name).BeginObject()
		t.units(w, x.units)
		w.EndObject()
	}
	if open {
		w.EndObject()
	}
}
