package expr

// MarshalBinary gives the compact form that UnmarshalBinary reads.
func (c *Condition) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary reads the form of MarshalBinary.
func (c *Condition) UnmarshalBinary(b []byte) error { return nil }

// MarshalBinary gives the compact form that UnmarshalBinary reads.
func (u *Update) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary reads the form of MarshalBinary.
func (u *Update) UnmarshalBinary(b []byte) error { return nil }

// MarshalBinary gives the compact form that UnmarshalBinary reads.
func (p *Projection) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary reads the form of MarshalBinary.
func (p *Projection) UnmarshalBinary(b []byte) error { return nil }
