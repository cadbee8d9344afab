package item

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Pick decodes the attributes that keep chooses and skips the others. keep must
// not hold on to the name. It is nil when there are none.
func (e Encoded) Pick(keep func(name string) bool) (Item, error) {
	return e.pick(keep, strings.Clone)
}

// Borrow decodes the attributes with the given names, as Pick does, but copies
// nothing: what it returns is gone when e is.
func (e Encoded) Borrow(names []string) (Item, error) {
	return e.pick(func(name string) bool { return slices.Contains(names, name) }, func(s string) string { return s })
}

func (e Encoded) pick(keep func(name string) bool, own func(string) string) (Item, error) {
	var out Item
	err := e.each(func(name, raw string) error {
		if !keep(name) {
			return nil
		}
		inner := reader{rest: own(raw)}
		v, err := inner.value(1)
		if err != nil {
			return fmt.Errorf("pick attribute %s: %w", name, err)
		}
		out = append(out, Field{Name: own(name), Value: v})
		return nil
	})
	return out, err
}

// each calls f with every attribute's name and encoded value, which alias e.
func (e Encoded) each(f func(name, raw string) error) error {
	if len(e) == 0 {
		return nil
	}
	r := reader{rest: view(e)}
	if _, err := r.header(); err != nil {
		return fmt.Errorf("pick attributes: %w", err)
	}
	n, err := r.count()
	if err != nil {
		return fmt.Errorf("pick attributes: %w", err)
	}
	for ; n > 0; n-- {
		name, err := r.text()
		if err != nil {
			return fmt.Errorf("pick attributes: %w", err)
		}
		raw, err := r.skip()
		if err != nil {
			return fmt.Errorf("pick attributes: %w", err)
		}
		if err := f(name, raw); err != nil {
			return err
		}
	}
	return nil
}

// AppendPicked appends the item that has only the attributes with the given
// names, without making a tree of it. Without any of them that is an empty item,
// and no longer than e in any case.
func (e Encoded) AppendPicked(dst []byte, names []string) ([]byte, error) {
	count, size := 0, 0
	err := e.each(func(name, raw string) error {
		if !slices.Contains(names, name) {
			return nil
		}
		n, err := encodedSize(raw)
		count, size = count+1, size+len(name)+n
		return err
	})
	if err != nil {
		return dst, err
	}
	dst = append(dst, encodedVersion)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = binary.AppendUvarint(dst, uint64(count))
	return dst, e.each(func(name, raw string) error {
		if slices.Contains(names, name) {
			dst = append(appendString(dst, name), raw...)
		}
		return nil
	})
}

// encodedSize is Value.Size of an encoded value.
func encodedSize(raw string) (int, error) {
	r := reader{rest: raw}
	k, _, err := r.kind()
	if err == nil && (k == S || k == B) {
		s, err := r.text()
		return len(s), err
	}
	v, err := (&reader{rest: raw}).value(1)
	return v.Size(), err
}
