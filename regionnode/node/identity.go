package node

import (
	"encoding/binary"
	"fmt"

	"antipode/regionnode/internal/keys"
	"antipode/regionnode/internal/store"
	"antipode/regionnode/table"
)

// readIdentity is the node's id as its disk has it, 0 on a new disk. A disk of
// another region is refused.
func readIdentity(s *store.Store, region string) (table.NodeID, error) {
	raw, err := s.GetCopy(keys.Identity())
	if err != nil || raw == nil {
		return 0, err
	}
	if len(raw) < 8 {
		return 0, fmt.Errorf("identity on disk is broken")
	}
	if found := string(raw[8:]); found != region {
		return 0, fmt.Errorf("this disk belongs to region %s, not to %s", found, region)
	}
	return table.NodeID(binary.BigEndian.Uint64(raw)), nil
}

func writeIdentity(s *store.Store, region string, id table.NodeID) error {
	raw := binary.BigEndian.AppendUint64(nil, uint64(id))
	if err := s.SetSync(keys.Identity(), append(raw, region...)); err != nil {
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
