package node

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// PartitionRow is one partition of a table as the region's catalog knows it, as
// the admin port answers at /partitions?table=NAME. Fields are only added.
type PartitionRow struct {
	ID table.PartitionID `json:"id,string"`
	// Index is the global index whose entries it holds, "" for items.
	Index string `json:"index,omitempty"`
	// Start and End bound its hashes, 16 hex digits; End "" is the end of all.
	Start string `json:"start"`
	End   string `json:"end,omitempty"`
	Range uint32 `json:"range_epoch"`
	// Replicas are the names of the nodes that hold it, the preferred leader first.
	Replicas []string `json:"replicas"`
	// Items and Bytes, local indexes included in the latter, and Load, requests a
	// second, are what was last reported.
	Items int64  `json:"items"`
	Bytes int64  `json:"bytes"`
	Load  uint32 `json:"load,omitempty"`
	// Right is the id of the partition that it is being split into, 0 for none.
	Right table.PartitionID `json:"splitting_into,string,omitempty"`
	// Refusal is why it was not split when that was last tried.
	Refusal string `json:"not_split,omitempty"`
}

// SplitOrder is what POST /partitions/split takes. The answer is the partition's
// PartitionRow; the split goes on behind it.
type SplitOrder struct {
	Table string `json:"table"`
	// Partition of the table or of one of its global indexes; 0 for the largest of
	// the table's own.
	Partition table.PartitionID `json:"partition,string,omitempty"`
	// At is the first hash of the new partition, 16 hex digits; "" lets the
	// partition choose.
	At string `json:"at,omitempty"`
}

func (n *Node) servePartitions(w http.ResponseWriter, r *http.Request) {
	rows, err := n.registry.ListPartitions(r.Context(), r.URL.Query().Get("table"))
	if err != nil {
		adminError(w, err)
		return
	}
	names, err := n.nodeNames(r)
	if err != nil {
		adminError(w, err)
		return
	}
	out := make([]PartitionRow, len(rows))
	for i := range rows {
		out[i] = partitionRow(&rows[i], names)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

func (n *Node) nodeNames(r *http.Request) (map[table.NodeID]string, error) {
	nodes, err := n.registry.Nodes(r.Context())
	names := make(map[table.NodeID]string, len(nodes))
	for _, x := range nodes {
		names[x.ID] = x.Name
	}
	return names, err
}

func partitionRow(p *catalog.PartitionInfo, names map[table.NodeID]string) PartitionRow {
	row := PartitionRow{
		ID: p.Row.ID, Index: p.Row.Index, Start: fmt.Sprintf("%016x", p.Row.Start), Range: p.Row.Epoch.Range,
		Items: p.Count.Held.Items, Bytes: p.Count.Bytes(), Load: p.Count.Load, Refusal: p.Refusal,
	}
	if p.Row.End != 0 {
		row.End = fmt.Sprintf("%016x", p.Row.End)
	}
	if p.Row.Split != nil {
		row.Right = p.Row.Split.Right
	}
	for _, id := range p.Row.Replicas {
		name := names[id]
		if name == "" {
			name = strconv.FormatUint(uint64(id), 16)
		}
		row.Replicas = append(row.Replicas, name)
	}
	return row
}

// maxOrder bounds the body of a request to the admin port.
const maxOrder = 64 << 10

func (n *Node) serveSplit(w http.ResponseWriter, r *http.Request) {
	// A page in somebody's browser cannot send this type to another origin unasked.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
		return
	}
	var order SplitOrder
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&order); err != nil {
		http.Error(w, "not a split order: "+err.Error(), http.StatusBadRequest)
		return
	}
	ask := catalog.SplitOrder{Table: order.Table, Partition: order.Partition}
	if order.At != "" {
		at, err := strconv.ParseUint(order.At, 16, 64)
		if err != nil || at == 0 {
			http.Error(w, fmt.Sprintf("%q is no hash of up to 16 hex digits above 0", order.At), http.StatusBadRequest)
			return
		}
		ask.At = at
	}
	p, err := n.registry.SplitPartition(r.Context(), &ask)
	if err != nil {
		adminError(w, err)
		return
	}
	names, err := n.nodeNames(r)
	if err != nil {
		adminError(w, err)
		return
	}
	row := partitionRow(&catalog.PartitionInfo{Row: *p}, names)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(row)
}

// adminError answers with what went wrong, in words.
func adminError(w http.ResponseWriter, err error) {
	refusal := apierr.Of(err)
	switch {
	case refusal == nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case refusal.Code == apierr.ResourceNotFound:
		http.Error(w, refusal.Message, http.StatusNotFound)
	case refusal.Code == apierr.ResourceInUse:
		http.Error(w, refusal.Message, http.StatusConflict)
	case refusal.Code == apierr.Validation:
		http.Error(w, refusal.Message, http.StatusBadRequest)
	default:
		http.Error(w, refusal.Message, http.StatusServiceUnavailable)
	}
}
