package partition

import (
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/item"
)

// update applies an update to the item, or to the bare key when there is none.
// What only takes away leaves a missing item missing.
func (e *evaluation) update(w *regionnode.Write, resp *regionnode.WriteResponse) error {
	old, err := e.oldTree()
	if err != nil {
		return err
	}
	base := old
	if base == nil {
		if base, err = w.Item.Decode(); err != nil {
			return fmt.Errorf("key attributes of update: %w", err)
		}
	}
	updated := base
	if w.Update != nil {
		if updated, err = w.Update.Apply(base); err != nil {
			return err
		}
		if old == nil && !w.Update.Creates() {
			e.new = nil
			return nil
		}
	}
	if err := e.fits(updated); err != nil {
		return err
	}
	e.newItem, e.new = updated, updated.Encode()
	resp.Attributes = updateReturn(w, old, updated, e)
	return nil
}

// updateReturn is what ReturnValues asks for.
func updateReturn(w *regionnode.Write, old, updated item.Item, e *evaluation) item.Encoded {
	var part item.Item
	switch w.Return {
	case regionnode.ReturnAllOld:
		return cloneImage(e.old.Item)
	case regionnode.ReturnAllNew:
		return e.new
	case regionnode.ReturnUpdatedOld:
		if old == nil || w.Update == nil {
			return nil
		}
		part = w.Update.Updated(old)
	case regionnode.ReturnUpdatedNew:
		if w.Update == nil {
			return nil
		}
		part = w.Update.Updated(updated)
	}
	if len(part) == 0 {
		return nil
	}
	return part.Encode()
}
