package expr

import "antipode/regionnode/item"

// Update is what an UpdateItem does to an item.
type Update struct{ actions []node }

// ParseUpdate parses an update expression.
func ParseUpdate(src string, s *Substitutions) (*Update, error) { return &Update{}, nil }

// Apply returns the updated item. Operands are read from old, which stays as it
// is.
func (u *Update) Apply(old item.Item) (item.Item, error) { return old, nil }

// Attributes lists the top-level names that the update changes.
func (u *Update) Attributes() []string { return nil }

// Updated returns the part of an image that the update touches: what
// UPDATED_OLD and UPDATED_NEW answer.
func (u *Update) Updated(it item.Item) item.Item { return it }
