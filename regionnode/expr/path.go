package expr

import "antipode/regionnode/item"

// Path is a document path: a top-level attribute and steps down from it.
type Path struct {
	Name  string
	Steps []Step
}

// Step goes down into a map by Name, or into a list by Index when Name is not
// used. Index is -1 for a step by name.
type Step struct {
	Name  string
	Index int
}

type node struct {
	op   uint8
	path Path
	val  item.Value
	args []node
}
