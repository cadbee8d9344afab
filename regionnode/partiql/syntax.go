package partiql

// nodeKind is what a node of a statement's tree is.
type nodeKind uint8

const (
	nodeName nodeKind = iota // a name: text
	nodeString
	nodeNumber // text has the sign
	nodeBool
	nodeNull
	nodeMissing
	nodeParameter // index
	nodeList      // args
	nodeBag       // args
	nodeStruct    // args: name, value, name, value, …
	nodeCall      // text, in lower case; args
	nodePath      // args: what it starts at, then the steps
	nodeStep      // .name; text
	nodeIndex     // [args[0]]
	nodeWildcard  // .* or [*]
	nodeStar      // * alone, in a projection or as what COUNT counts
	nodeOperation // text: the operator; args
	nodeIs        // args[0] IS text
	nodeSelect    // statement
	nodeChange    // statement: INSERT, UPDATE, DELETE
)

// node is one node of a statement's tree. What a node of a kind uses stands
// behind the kind.
type node struct {
	kind      nodeKind
	text      string
	index     int  // of a parameter, from 0
	quoted    bool // a name that was written in quotes
	pos       position
	args      []*node
	statement *clauses
}

// clauses are what a statement is made of.
type clauses struct {
	verb       string // "select", "insert", "update", "delete"
	projection []*node
	source     *node // a name or a path
	// aliased: something in FROM or in the projection is given another name.
	aliased bool
	joined  bool  // FROM names more than one source
	value   *node // what INSERT inserts
	changes []change
	where   *node
	order   []ordering
	// unsupported is a clause that the grammar knows and DynamoDB does not, with
	// where it stands; "" for none.
	unsupported string
	at          position
	returning   []returning
}

// change is one SET or REMOVE of an update; value is nil for REMOVE.
type change struct{ path, value *node }

// ordering is one term of ORDER BY.
type ordering struct {
	term *node
	desc bool
}

// returning is one element of RETURNING: "all_old", …, and what of it, a
// nodeStar or an expression.
type returning struct {
	mapping string
	column  *node
}
