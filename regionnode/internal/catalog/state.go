package catalog

import (
	"cmp"
	"fmt"
	"slices"

	"antipode/regionnode/table"
)

// state is the catalog in memory: every row as it is stored, and the same rows
// decoded and indexed. Decoded rows are immutable; a change replaces them.
type state struct {
	raw  map[string][]byte
	head head

	tables map[string]*tableRow // by name
	names  map[table.ID]string  // of tables and their global indexes
	// partitions by Table (an index's by its own id), sorted by Start, without
	// dropped ones; and all of them by Base.
	partitions map[table.ID][]*Partition
	byBase     map[table.ID]map[table.PartitionID]*Partition
	nodes      map[table.NodeID]*Node
	load       map[table.NodeID]int           // replicas on each node
	missing    map[table.PartitionID]table.ID // partitions without all replicas, and their Base
	splitting  map[table.PartitionID]table.ID // partitions with a Split, and their Base
	moving     map[table.PartitionID]table.ID // partitions whose members change, and their Base
	peers      map[string]*Peer
	keys       map[string]*AccessKey
	jobs       map[uint64]*Job
}

func newState() *state {
	return &state{
		raw:        map[string][]byte{},
		head:       head{Next: firstCounter},
		tables:     map[string]*tableRow{},
		names:      map[table.ID]string{},
		partitions: map[table.ID][]*Partition{},
		byBase:     map[table.ID]map[table.PartitionID]*Partition{},
		nodes:      map[table.NodeID]*Node{},
		load:       map[table.NodeID]int{},
		missing:    map[table.PartitionID]table.ID{},
		splitting:  map[table.PartitionID]table.ID{},
		moving:     map[table.PartitionID]table.ID{},
		peers:      map[string]*Peer{},
		keys:       map[string]*AccessKey{},
		jobs:       map[uint64]*Job{},
	}
}

// loadState fills a new state from all rows.
func loadState(rows []Pair) (*state, error) {
	s := newState()
	for _, r := range rows {
		if err := s.set(string(r.Key), r.Value); err != nil {
			return nil, fmt.Errorf("row %q: %w", r.Key, err)
		}
	}
	return s, nil
}

// set puts one row into the state, or takes it out when value is nil.
func (s *state) set(key string, value []byte) error {
	prefix, rest := kindOf(key)
	var err error
	switch prefix {
	case headKey:
		s.head, err = decoded[head](value, head{Next: firstCounter})
	case tablePrefix:
		err = s.setTable(rest, value)
	case partitionPrefix:
		err = s.setPartition(key, value)
	case nodePrefix:
		err = setRow(s.nodes, value, s.raw[key], func(n *Node) table.NodeID { return n.ID })
	case peerPrefix:
		err = setRow(s.peers, value, s.raw[key], func(p *Peer) string { return p.Region })
	case accessPrefix:
		err = setRow(s.keys, value, s.raw[key], func(k *AccessKey) string { return k.ID })
	case jobPrefix:
		err = setRow(s.jobs, value, s.raw[key], func(j *Job) uint64 { return j.ID })
	default:
		err = fmt.Errorf("unknown kind of row")
	}
	if err != nil {
		return err
	}
	if value == nil {
		delete(s.raw, key)
	} else {
		s.raw[key] = value
	}
	return nil
}

// decoded decodes a value, or returns absent for nil.
func decoded[T any](value []byte, absent T) (T, error) {
	if value == nil {
		return absent, nil
	}
	var row T
	err := decodeRow(value, &row)
	return row, err
}

// setRow puts a row of a simple kind into its map, or takes out the one that was
// stored before.
func setRow[K comparable, T any](rows map[K]*T, value, before []byte, id func(*T) K) error {
	if value == nil {
		if before == nil {
			return nil
		}
		var old T
		if err := decodeRow(before, &old); err != nil {
			return err
		}
		delete(rows, id(&old))
		return nil
	}
	row := new(T)
	if err := decodeRow(value, row); err != nil {
		return err
	}
	rows[id(row)] = row
	return nil
}

func (s *state) setTable(name string, value []byte) error {
	if old := s.tables[name]; old != nil {
		for _, id := range idsOf(old.Descriptor) {
			delete(s.names, id)
		}
		delete(s.tables, name)
	}
	if value == nil {
		return nil
	}
	row := new(tableRow)
	if err := decodeRow(value, row); err != nil {
		return err
	}
	s.tables[name] = row
	for _, id := range idsOf(row.Descriptor) {
		s.names[id] = name
	}
	return nil
}

// idsOf are the ids of a table and of its global indexes.
func idsOf(d *table.Descriptor) []table.ID {
	ids := make([]table.ID, 1, 1+len(d.Globals))
	ids[0] = d.ID
	for i := range d.Globals {
		ids = append(ids, d.Globals[i].Table)
	}
	return ids
}

func (s *state) setPartition(key string, value []byte) error {
	if before := s.raw[key]; before != nil {
		var old Partition
		if err := decodeRow(before, &old); err != nil {
			return err
		}
		s.dropPartition(&old)
	}
	if value == nil {
		return nil
	}
	row := new(Partition)
	if err := decodeRow(value, row); err != nil {
		return err
	}
	if s.byBase[row.Base] == nil {
		s.byBase[row.Base] = map[table.PartitionID]*Partition{}
	}
	s.byBase[row.Base][row.ID] = row
	for _, n := range row.holders() {
		s.load[n]++
	}
	if row.Dropped {
		return nil
	}
	if row.Move != nil {
		s.moving[row.ID] = row.Base
	}
	if len(row.Missing) > 0 {
		s.missing[row.ID] = row.Base
	}
	if row.Split != nil {
		s.splitting[row.ID] = row.Base
	}
	list := s.partitions[row.Table]
	at, _ := slices.BinarySearchFunc(list, row.Start, func(p *Partition, start uint64) int { return cmp.Compare(p.Start, start) })
	s.partitions[row.Table] = slices.Insert(slices.Clip(list), at, row)
	return nil
}

func (s *state) dropPartition(old *Partition) {
	delete(s.missing, old.ID)
	delete(s.splitting, old.ID)
	delete(s.moving, old.ID)
	delete(s.byBase[old.Base], old.ID)
	if len(s.byBase[old.Base]) == 0 {
		delete(s.byBase, old.Base)
	}
	for _, n := range old.holders() {
		if s.load[n]--; s.load[n] == 0 {
			delete(s.load, n)
		}
	}
	kept := make([]*Partition, 0, len(s.partitions[old.Table]))
	for _, p := range s.partitions[old.Table] {
		if p.ID != old.ID {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		delete(s.partitions, old.Table)
		return
	}
	s.partitions[old.Table] = kept
}

// partitionsOf are all partitions of a table and of its global indexes, dropped
// ones included, in order of id.
func (s *state) partitionsOf(base table.ID) []Partition { return sorted(s.byBase[base]) }

// sorted are the values of a map in order of key.
func sorted[K cmp.Ordered, V any](m map[K]*V) []V {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]V, len(keys))
	for i, k := range keys {
		out[i] = *m[k]
	}
	return out
}
