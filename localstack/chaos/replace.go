package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"antipode/regionnode/node"
)

// replace ends a node for good; another one, with an empty disk, comes at the
// same addresses. What it held must be on a majority without it, or nobody could
// tell what was acknowledged: the region must be whole, and have forgotten who
// was replaced before.
func (r *run) replace(ctx context.Context, i int) error {
	if !r.forget(ctx) {
		return errors.New("a node that was replaced is still a member")
	}
	if why := r.unsettled(ctx); why != "" {
		return errors.New(why)
	}
	old := r.region.nodes()[i].Name
	came, err := r.region.cluster.ReplaceNode(old)
	if err != nil {
		return err
	}
	r.Log.Info("replace", "node", old, "by", came.Name)
	r.gone = append(r.gone, old)
	return nil
}

// forget has the region take out whom ReplaceNode ended, and tells whether it
// has. As long as it holds a node for alive, it refuses.
func (r *run) forget(ctx context.Context) bool {
	for _, name := range r.gone {
		if _, err := r.region.command(ctx, http.MethodPost, "/nodes/"+name+"/remove", nil); err != nil {
			return false
		}
	}
	if len(r.gone) == 0 {
		return true
	}
	body, err := r.region.command(ctx, http.MethodGet, "/nodes", nil)
	var left node.Members
	if err != nil || json.Unmarshal(body, &left) != nil {
		return false
	}
	r.gone = slices.DeleteFunc(r.gone, func(name string) bool {
		return !slices.ContainsFunc(left.Nodes, func(m node.RegionMember) bool { return m.Name == name })
	})
	return len(r.gone) == 0
}
