package partiql

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"antipode/regionnode/apierr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// binding gives parameters and literals their values.
type binding struct{ params []item.Value }

// rootPath is how error texts name the value that they look into.
const rootPath = "root"

// constant is the value of a literal or parameter; ok is false for anything
// else.
func (b *binding) constant(n *node) (v item.Value, ok bool, err error) {
	switch n.kind {
	case nodeParameter:
		if n.index >= len(b.params) {
			return v, true, apierr.Invalid("Number of parameters in request and statement don't match.")
		}
		return b.params[n.index], true, nil
	case nodeString, nodeNumber, nodeBool, nodeNull, nodeList, nodeBag, nodeStruct:
		v, err = b.literal(n, rootPath, 0)
		return v, true, err
	}
	return v, false, nil
}

// literal is the value of a literal without parameters, which is depth levels
// down in another one.
func (b *binding) literal(n *node, path string, depth int) (item.Value, error) {
	if depth >= table.MaxDepth {
		return item.Value{}, apierr.Invalid("Nesting Levels have exceeded supported limits under %s", path)
	}
	switch n.kind {
	case nodeString:
		return item.Str(n.text), nil
	case nodeNumber:
		return number(n, path)
	case nodeBool:
		return item.Bool(n.text == "true"), nil
	case nodeNull:
		return item.Null(), nil
	case nodeList:
		elems := make([]item.Value, len(n.args))
		for i, a := range n.args {
			v, err := b.literal(a, path+"["+strconv.Itoa(i)+"]", depth+1)
			if err != nil {
				return item.Value{}, err
			}
			elems[i] = v
		}
		return item.List(elems), nil
	case nodeStruct:
		fields, err := b.fields(n, func(name string, value *node) (item.Value, error) {
			return b.literal(value, path+"."+name, depth+1)
		})
		return item.Map(fields), err
	case nodeBag:
		return b.bag(n, path)
	}
	return item.Value{}, apierr.Invalid("Unsupported data type: %s under key %s%s", typeName(n), path, n.pos)
}

// typeName is what error texts call a value that is none.
func typeName(n *node) string {
	switch n.kind {
	case nodeParameter:
		return "Parameter"
	case nodeMissing:
		return "Missing"
	}
	return n.text
}

func number(n *node, path string) (item.Value, error) {
	v, err := item.ParseNumber(n.text)
	if err == nil {
		return item.Num(v), nil
	}
	var fault *item.ValueError
	if errors.As(err, &fault) {
		return item.Value{}, apierr.Invalid("%s under %s", fault.Current(), path)
	}
	return item.Value{}, err
}

// fields are the entries of a literal map, whose values value finds.
func (b *binding) fields(n *node, value func(name string, value *node) (item.Value, error)) (item.Item, error) {
	fields := make([]item.Field, 0, len(n.args)/2)
	for i := 0; i < len(n.args); i += 2 {
		name := n.args[i]
		if name.kind != nodeString {
			return nil, apierr.Invalid("Keys of tuples must be strings%s", name.pos)
		}
		if slices.ContainsFunc(fields, func(f item.Field) bool { return f.Name == name.text }) {
			return nil, apierr.Invalid("Duplicate key in tuple: %s%s", name.text, name.pos)
		}
		v, err := value(name.text, n.args[i+1])
		if err != nil {
			return nil, err
		}
		fields = append(fields, item.Field{Name: name.text, Value: v})
	}
	return item.Make(fields), nil
}

// bag is a set: of strings or of numbers.
func (b *binding) bag(n *node, path string) (item.Value, error) {
	if len(n.args) == 0 {
		return item.Value{}, apierr.Invalid("Empty bags are not supported")
	}
	elems := make([]item.Value, len(n.args))
	texts := make([]string, len(n.args))
	for i, a := range n.args {
		if a.kind != nodeString && a.kind != nodeNumber || a.kind != n.args[0].kind {
			return item.Value{}, apierr.Invalid("Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags")
		}
		v, err := b.literal(a, path, 0)
		if err != nil {
			return item.Value{}, err
		}
		elems[i], texts[i] = v, a.text
	}
	for i := range elems {
		for j := range i {
			if !elems[i].Equal(elems[j]) {
				continue
			}
			members := "[" + strings.Join(texts, ", ") + "]"
			if n.args[0].kind == nodeNumber {
				return item.Value{}, apierr.Invalid("One or more parameter values were invalid: Input collection %s contains duplicates! under %s", members, path)
			}
			return item.Value{}, apierr.Invalid("One or more parameter values were invalid: Input collection %s contains duplicates.", members)
		}
	}
	kind := item.SS
	if n.args[0].kind == nodeNumber {
		kind = item.NS
	}
	return item.Set(kind, elems), nil
}
