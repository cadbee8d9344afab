package partiql

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf16"

	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// Read is what a SELECT reads: runs of keys, or everything.
type Read struct {
	Index *table.Index // nil for the table itself
	// Runs are what to read in this order; nil is a scan.
	Runs []Run
	// Filter is the scan's; each run has its own.
	Filter   *expr.Condition
	Backward bool
	// Projection has the top-level attributes that the answer needs, nil for all.
	Projection *expr.Projection
	// Columns are what each item of the answer is made of; nil when the projected
	// items are the answer.
	Columns []Column
	// Fetch: the local index lacks attributes that are selected.
	Fetch bool
}

// Run is a run of keys in one item collection.
type Run struct {
	// Low (inclusive) and High (exclusive) bound the keys in the order of the
	// index's or table's key. A run without keys has Low not below High.
	Low, High []byte
	Filter    *expr.Condition
}

// Empty tells a run without keys.
func (r *Run) Empty() bool { return r.High != nil && bytes.Compare(r.Low, r.High) >= 0 }

// Column is one path of a projection and the name that the answer gives it.
type Column struct {
	Name string
	Path expr.Path
}

// Of finds a column's value; ok is false when the item has none.
func (c *Column) Of(it item.Item) (item.Value, bool) { return c.Path.Lookup(it) }

// Read plans a SELECT on its table. consistent is ConsistentRead.
func (b *Bound) Read(d *table.Descriptor, consistent bool) (*Read, error) {
	r := &Read{}
	var err error
	if r.Index, err = b.findIndex(d, consistent); err != nil {
		return nil, err
	}
	schema := d.Key
	if r.Index != nil {
		schema = r.Index.Key
	}
	k := keyOf(schema)
	hashDesc, sortDesc, err := b.ordering(k)
	if err != nil {
		return nil, err
	}
	r.Backward = sortDesc
	if !k.keyed(b.where) {
		r.Filter = b.where.compile().Condition()
	} else {
		branches, err := k.branches(b.where, d)
		if err != nil {
			return nil, err
		}
		if err := checkFilters(d, r.Index, branches); err != nil {
			return nil, err
		}
		r.Runs = runs(branches, hashDesc, sortDesc)
	}
	if err := b.project(r); err != nil {
		return nil, err
	}
	return r, r.checkProjection(d)
}

func keyOf(schema table.KeySchema) *brancher {
	k := &brancher{hash: schema.Hash[0]}
	if len(schema.Range) > 0 {
		k.sort = schema.Range[0]
	}
	return k
}

// findIndex finds the index that the statement names.
func (b *Bound) findIndex(d *table.Descriptor, consistent bool) (*table.Index, error) {
	if b.index == "" {
		return nil, nil
	}
	x := d.Index(b.index)
	switch {
	case x == nil || x.Status == table.Deleting:
		return nil, apierr.Invalid("The table does not have the specified index")
	case len(x.Key.Hash) > 1 || len(x.Key.Range) > 1:
		return nil, apierr.Invalid("PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys.")
	case !x.IsLocal() && x.Status == table.Creating:
		return nil, apierr.Invalid("Cannot read from backfilling global secondary index: %s", x.Name)
	case !x.IsLocal() && consistent:
		return nil, apierr.Invalid("Strongly consistent read is not supported on Global Secondary Indexes")
	}
	return x, nil
}

// ordering checks ORDER BY, and tells whether collections and the items in them
// come backwards. A clause that names the hash key alone turns the items around.
func (b *Bound) ordering(k *brancher) (hashDesc, sortDesc bool, err error) {
	order := b.clauses.order
	if len(order) == 0 {
		return false, false, nil
	}
	if b.where == nil {
		return false, false, apierr.Invalid("Must have WHERE clause in the statement when using ORDER BY clause.")
	}
	var onHash, onSort bool
	for _, o := range order {
		name := o.term.text
		if o.term.kind != nodeName || name != k.hash && name != k.sort {
			if o.term.kind != nodeName {
				var w printer
				w.node(o.term)
				name = w.String()
			}
			return false, false, apierr.Invalid("Attribute %s in ORDER BY clause must be part of the primary key", name)
		}
		if name == k.hash && !onHash {
			onHash, hashDesc = true, o.desc
		}
		if name == k.sort && !onSort {
			onSort, sortDesc = true, o.desc
		}
	}
	switch n := k.conditions(b.where); {
	case !k.keyed(b.where):
		return false, false, apierr.Invalid("Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.")
	case n > 1 && !onHash:
		return false, false, apierr.Invalid("Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause.")
	}
	return hashDesc, sortDesc || !onSort, nil
}

// runs turns branches, sorted by collection and run, into runs in the order
// asked for.
func runs(branches []branch, hashDesc, sortDesc bool) []Run {
	if hashDesc != sortDesc {
		// Turn the branches of each collection around, so that turning all of
		// them around leaves the one order as it was.
		for start := 0; start < len(branches); {
			end := start + 1
			for end < len(branches) && branches[end].hash[0].Equal(branches[start].hash[0]) {
				end++
			}
			slices.Reverse(branches[start:end])
			start = end
		}
	}
	if hashDesc {
		slices.Reverse(branches)
	}
	out := make([]Run, len(branches))
	for i := range branches {
		out[i] = branches[i].run()
	}
	return out
}

func (b *branch) run() Run {
	prefix := table.HashPrefix(nil, b.hash[:1])
	r := Run{Low: slices.Concat(prefix, b.low), High: item.PrefixEnd(prefix)}
	if b.high != nil {
		r.High = slices.Concat(prefix, b.high)
	}
	if len(b.filters) > 0 {
		r.Filter = allOf(b.filters...).compile().Condition()
	}
	return r
}

// checkFilters refuses filters on attributes that the index lacks, if every
// branch has some; those of the last branch are named.
func checkFilters(d *table.Descriptor, x *table.Index, branches []branch) error {
	if x == nil {
		return nil
	}
	var missing []string
	for i := range branches {
		missing = nil
		for _, name := range allOf(branches[i].filters...).compile().Attributes() {
			if !projects(d, x, name) {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			return nil
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return apierr.Invalid("One or more parameter values were invalid: Secondary index %s does not project one or more filter attributes: [%s]",
		x.Name, strings.Join(hashOrder(missing), ", "))
}

// projects tells whether an index holds an attribute: keys always.
func projects(d *table.Descriptor, x *table.Index, name string) bool {
	return x.Projection.Type == "ALL" || x.Key.Has(name) || d.Key.Has(name) || slices.Contains(x.Projection.NonKey, name)
}

// hashOrder sorts names as a Java hash set lists them, whose order shows in
// error texts: by the low bits of their hashes, then as they came.
func hashOrder(names []string) []string {
	buckets := uint32(16)
	for float64(len(names)) > 0.75*float64(buckets) {
		buckets *= 2
	}
	bucket := func(s string) int {
		var h uint32
		for _, unit := range utf16.Encode([]rune(s)) {
			h = 31*h + uint32(unit)
		}
		return int((h ^ h>>16) & (buckets - 1))
	}
	slices.SortStableFunc(names, func(a, b string) int { return bucket(a) - bucket(b) })
	return names
}

// project translates the list of what is selected.
func (b *Bound) project(r *Read) error {
	list := b.clauses.projection
	if len(list) == 1 && list[0].kind == nodeStar {
		return nil
	}
	var columns []Column
	nested := false
	var names []string
	for _, n := range list {
		p, ok, err := path(n)
		if err != nil {
			return err
		}
		if !ok {
			return errUnexpectedPath(n)
		}
		c := Column{Name: columnName(&p), Path: p}
		if slices.ContainsFunc(columns, func(o Column) bool { return o.Name == c.Name }) {
			return apierr.Invalid("Duplicate identifiers in select clause: %s", c.Name)
		}
		columns = append(columns, c)
		nested = nested || len(p.Steps) > 0
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	r.Projection = expr.ProjectAttributes(names)
	if nested {
		r.Columns = columns
	}
	return nil
}

// checkProjection refuses attributes that a global index lacks; behind a local
// one they are fetched.
func (r *Read) checkProjection(d *table.Descriptor) error {
	if r.Index == nil || r.Projection == nil {
		return nil
	}
	var missing []string
	for _, name := range r.Projection.Attributes() {
		if !projects(d, r.Index, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if r.Index.IsLocal() {
		r.Fetch = true
		return nil
	}
	return apierr.Invalid("One or more parameter values were invalid: Global secondary index %s does not project [%s]",
		r.Index.Name, strings.Join(missing, ", "))
}

// Get plans a SELECT that may name nothing but one item by its whole key, as
// transactions and batches demand; ok is false when it does not.
func (b *Bound) Get(d *table.Descriptor) (key item.Item, r *Read, ok bool, err error) {
	if _, err := b.findIndex(d, false); err != nil || b.index != "" {
		return nil, nil, false, err
	}
	k := keyOf(d.Key)
	if !k.keyed(b.where) {
		return nil, nil, false, nil
	}
	branches, err := k.branches(b.where, d)
	if err != nil {
		return nil, nil, false, err
	}
	if len(branches) != 1 || !b.onlyKey(k) {
		return nil, nil, false, nil
	}
	key = key.Set(k.hash, branches[0].hash[0])
	if k.sort != "" {
		if len(branches[0].tests) == 0 {
			return nil, nil, false, nil
		}
		key = key.Set(k.sort, branches[0].tests[0].values[0])
	}
	r = &Read{}
	return key, r, true, b.project(r)
}

// onlyKey tells whether WHERE says nothing but which one value each key
// attribute has; it may say so more than once.
func (b *Bound) onlyKey(k *brancher) bool {
	seen := item.Item{}
	for _, c := range conjuncts(b.where) {
		t := c.test
		if t == nil || t.name != k.hash && t.name != k.sort || t.op != testEqual && t.op != testIn || len(t.values) != 1 {
			return false
		}
		if v, ok := seen.Get(t.name); ok && !v.Equal(t.values[0]) {
			return false
		}
		seen = seen.Set(t.name, t.values[0])
	}
	return true
}
