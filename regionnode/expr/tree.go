package expr

import "antipode/regionnode/item"

// op is what a node of a tree does. The numbers travel between processes of
// different versions: never renumber.
type op uint8

const (
	opNone op = iota // the tree of no condition at all: it holds
	opOr
	opAnd
	opNot
	opEQ
	opNE
	opLT
	opLE
	opGT
	opGE
	opBetween
	opIn
	opAttributeExists
	opAttributeNotExists
	opAttributeType
	opBeginsWith
	opContains
	opSize
	opIfNotExists
	opListAppend
	opPlus
	opMinus
	opPath
	opValue
	opSet
	opRemove
	opAdd
	opDelete
	// AttributeUpdates knows lists in ADD and words its type errors in its own
	// way.
	opLegacyAdd
	opLegacyDelete
	opCount
)

// opTexts are the operators and functions as expressions and error texts write
// them.
var opTexts = [opCount]string{
	opOr: "OR", opAnd: "AND", opNot: "NOT",
	opEQ: "=", opNE: "<>", opLT: "<", opLE: "<=", opGT: ">", opGE: ">=",
	opBetween: "BETWEEN", opIn: "IN",
	opAttributeExists: "attribute_exists", opAttributeNotExists: "attribute_not_exists",
	opAttributeType: "attribute_type", opBeginsWith: "begins_with", opContains: "contains", opSize: "size",
	opIfNotExists: "if_not_exists", opListAppend: "list_append", opPlus: "+", opMinus: "-",
	opSet: "SET", opRemove: "REMOVE", opAdd: "ADD", opDelete: "DELETE",
	opLegacyAdd: "ADD", opLegacyDelete: "DELETE",
}

func (o op) String() string { return opTexts[o] }

// isComparator tells the six binary comparisons.
func (o op) isComparator() bool { return opEQ <= o && o <= opGE }

// isAction tells what may stand in an update: such a node has the path that it
// changes.
func (o op) isAction() bool { return opSet <= o && o < opCount }

// node is one node of a checked tree: no placeholders, every operator with the
// operands it needs. AND and OR take any number.
type node struct {
	op   op
	path Path       // opPath and actions
	val  item.Value // opValue
	args []node
}

// eachPath calls f with every path of the tree, in the order written.
func (n *node) eachPath(f func(*Path)) {
	if n.op == opPath || n.op.isAction() {
		f(&n.path)
	}
	for i := range n.args {
		n.args[i].eachPath(f)
	}
}

// names collects top-level attribute names, each once, in order of appearance.
type names []string

func (ns *names) add(name string) {
	for _, n := range *ns {
		if n == name {
			return
		}
	}
	*ns = append(*ns, name)
}
