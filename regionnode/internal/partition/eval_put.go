package partition

import (
	"antipode/regionnode"
	"antipode/regionnode/item"
)

// put replaces the item. Its size, key and index key attributes were checked
// where the request came in.
func (e *evaluation) put(w *regionnode.Write, resp *regionnode.WriteResponse) error {
	e.new = w.Item
	if w.Return == regionnode.ReturnAllOld {
		resp.Attributes = cloneImage(e.old.Item)
	}
	return nil
}

// cloneImage is an image for an answer, which outlives what is stored.
func cloneImage(it item.Encoded) item.Encoded {
	if len(it) == 0 {
		return nil
	}
	return append(item.Encoded(nil), it...)
}
