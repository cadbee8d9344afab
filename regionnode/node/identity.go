package node

import (
	"encoding/binary"
	"fmt"
	"strings"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
)

// identity is who a disk belongs to. On disk: the id in eight bytes, the region's
// name, and behind a zero byte one byte for founders unless there are none.
type identity struct {
	id     table.NodeID // 0 on a new disk
	region string
	// founders is how many nodes started the region together, this one among them.
	founders int
}

func readIdentity(s *store.Store) (identity, error) {
	raw, err := s.GetCopy(keys.Identity())
	if err != nil || raw == nil {
		return identity{}, err
	}
	if len(raw) < 8 {
		return identity{}, fmt.Errorf("identity on disk is broken")
	}
	out := identity{id: table.NodeID(binary.BigEndian.Uint64(raw))}
	region, founders, together := strings.Cut(string(raw[8:]), "\x00")
	if out.region = region; together {
		if len(founders) != 1 {
			return identity{}, fmt.Errorf("identity on disk is broken")
		}
		out.founders = int(founders[0])
	}
	return out, nil
}

// check refuses a disk of another region, and one that the configuration takes
// for one of a region's founders though it is none: others would wait for it, or
// found another catalog with it.
func (i identity) check(c *Config) error {
	switch {
	case i.id == 0:
		return nil
	case i.region != string(c.Region):
		return fmt.Errorf("this disk belongs to region %s, not to %s", i.region, c.Region)
	case c.BootstrapExpect > 0 && i.founders != c.BootstrapExpect:
		return fmt.Errorf("this disk is not one of %d that started region %s together: start it without that number", c.BootstrapExpect, c.Region)
	}
	return nil
}

func (i identity) write(s *store.Store) error {
	raw := append(binary.BigEndian.AppendUint64(nil, uint64(i.id)), i.region...)
	if i.founders > 0 {
		raw = append(raw, 0, byte(i.founders))
	}
	if err := s.SetSync(keys.Identity(), raw); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}

// readBound is the clock bound of the node's last life, 0 on a new disk.
func readBound(s *store.Store) (int64, error) {
	raw, err := s.GetCopy(keys.ClockBound())
	if err != nil || raw == nil {
		return 0, err
	}
	if len(raw) != 8 {
		return 0, fmt.Errorf("clock bound on disk is broken")
	}
	return int64(binary.BigEndian.Uint64(raw)), nil
}

func writeBound(s *store.Store, wall int64) error {
	return s.SetSync(keys.ClockBound(), binary.BigEndian.AppendUint64(nil, uint64(wall)))
}
