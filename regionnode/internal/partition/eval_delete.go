package partition

import "antipode/regionnode"

// delete removes the item; deleting what is not there is no error.
func (e *evaluation) delete(w *regionnode.Write, resp *regionnode.WriteResponse) error {
	e.new = nil
	if w.Return == regionnode.ReturnAllOld {
		resp.Attributes = cloneImage(e.old.Item)
	}
	return nil
}
