package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
)

// Members is the answer of /nodes: a region's nodes as its catalog's leader sees
// them. Fields are only added.
type Members struct {
	Region string         `json:"region"`
	Nodes  []RegionMember `json:"nodes"`
}

// RegionMember is one node of a region.
type RegionMember struct {
	ID   string `json:"id"` // in hex
	Name string `json:"name"`
	Zone string `json:"zone"`
	RPC  string `json:"rpc"`
	// State is alive or silent.
	State        string `json:"state"`
	SilentMillis int64  `json:"silent_ms"`
	// Draining nodes give their replicas up, Removing ones go for good then.
	Draining bool `json:"draining,omitempty"`
	Removing bool `json:"removing,omitempty"`
	// Replicas it shall hold; Coming and Going are on their way.
	Replicas int `json:"replicas"`
	Coming   int `json:"coming"`
	Going    int `json:"going"`
	// Held and Led are what it last said that it holds and leads, -1 while the
	// catalog's leader has not heard of it.
	Held int `json:"held"`
	Led  int `json:"led"`
	// Waits is why replicas that should leave it cannot.
	Waits string `json:"waits,omitempty"`
}

// Empty tells whether nothing is on the node, nor on its way there; what is on
// one that does not answer is nobody's.
func (m *RegionMember) Empty() bool {
	return m.Replicas == 0 && m.Coming == 0 && (m.Held == 0 || m.State == silent)
}

// The states of RegionMember.
const (
	alive  = "alive"
	silent = "silent"
)

func memberView(m *catalog.Member) RegionMember {
	out := RegionMember{
		ID: strconv.FormatUint(uint64(m.Node.ID), 16), Name: m.Node.Name, Zone: m.Node.Zone, RPC: m.Node.Addr,
		State: alive, SilentMillis: m.Silent, Draining: m.Node.Draining, Removing: m.Node.Leaving,
		Replicas: m.Replicas, Coming: m.Coming, Going: m.Going, Held: m.Held, Led: m.Led, Waits: m.Waits,
	}
	if !m.Alive() {
		out.State = silent
	}
	return out
}

// Members asks the catalog's leader for the region's nodes.
func (n *Node) Members(ctx context.Context) (*Members, error) {
	rows, err := n.registry.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the catalog: %w", err)
	}
	out := &Members{Region: string(n.config.Region)}
	for i := range rows {
		out.Nodes = append(out.Nodes, memberView(&rows[i]))
	}
	return out, nil
}

// adminPatience bounds what the admin port asks of the catalog.
const adminPatience = 10 * time.Second

func (n *Node) serveMembers(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), adminPatience)
	defer cancel()
	members, err := n.Members(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(members)
}

// serveNodeAction changes what shall become of a node. The content type keeps
// web pages of other origins out, which may not set it.
func (n *Node) serveNodeAction(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), adminPatience)
	defer cancel()
	err := n.nodeAction(ctx, r.PathValue("name"), r.PathValue("action"))
	switch refused := apierr.Of(err); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case refused != nil && refused.Code == apierr.ResourceNotFound:
		http.Error(w, refused.Message, http.StatusNotFound)
	case refused != nil:
		http.Error(w, refused.Message, http.StatusConflict)
	case errors.Is(err, errNoAction):
		http.Error(w, err.Error(), http.StatusNotFound)
	default:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

var errNoAction = errors.New("no such action on a node: drain, undrain or remove")

func (n *Node) nodeAction(ctx context.Context, name, action string) error {
	rows, err := n.registry.Members(ctx)
	if err != nil {
		return fmt.Errorf("ask the catalog: %w", err)
	}
	var id table.NodeID
	for _, m := range rows {
		if m.Node.Name == name {
			id = m.Node.ID
		}
	}
	if id == 0 {
		return apierr.Newf(apierr.ResourceNotFound, "region %s has no node %s", n.config.Region, name)
	}
	switch action {
	case "drain", "undrain":
		return n.registry.DrainNode(ctx, id, action == "drain")
	case "remove":
		return n.registry.RemoveNode(ctx, id)
	}
	return errNoAction
}
