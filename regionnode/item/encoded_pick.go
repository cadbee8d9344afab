package item

import (
	"fmt"
	"strings"
)

// Pick decodes the attributes that keep chooses and skips the others. keep must
// not hold on to the name. It is nil when there are none.
func (e Encoded) Pick(keep func(name string) bool) (Item, error) {
	if len(e) == 0 {
		return nil, nil
	}
	r := reader{rest: view(e)}
	if _, err := r.header(); err != nil {
		return nil, fmt.Errorf("pick attributes: %w", err)
	}
	n, err := r.count()
	if err != nil {
		return nil, fmt.Errorf("pick attributes: %w", err)
	}
	var out Item
	for ; n > 0; n-- {
		name, err := r.text()
		if err != nil {
			return nil, fmt.Errorf("pick attributes: %w", err)
		}
		raw, err := r.skip()
		if err != nil {
			return nil, fmt.Errorf("pick attributes: %w", err)
		}
		if !keep(name) {
			continue
		}
		inner := reader{rest: strings.Clone(raw)}
		v, err := inner.value(1)
		if err != nil {
			return nil, fmt.Errorf("pick attribute %s: %w", name, err)
		}
		out = append(out, Field{Name: strings.Clone(name), Value: v})
	}
	return out, nil
}
