package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/gossip"
	"antipode/regionnode/table"
)

// bootstrapLook is how often a node looks for those that shall start the region
// with it.
const bootstrapLook = 20 * time.Millisecond

// bootstrap waits until gossip knows all nodes that shall start the region
// together, and takes the id that follows from their names' order. All of them
// come to the same order, whoever is first. It answers with the ids of all, or
// nil when the region has started without this one: then it joins.
//
// A disk that has an identity never comes here. A disk that lost its identity
// does, and is refused: what its old self has voted for and acknowledged is
// forgotten, so it must not speak in its name.
func (n *Node) bootstrap(ctx context.Context) ([]table.NodeID, error) {
	for {
		members, err := n.founders()
		if err != nil {
			return nil, err
		}
		if len(members) == n.config.BootstrapExpect {
			verdict, err := n.mayFound(ctx, members)
			switch {
			case err != nil || verdict == late:
				return nil, err
			case verdict == found:
				return n.found(members), nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d nodes to start region %s, %d of them known: %w",
				n.config.BootstrapExpect, n.config.Region, len(members), ctx.Err())
		case <-time.After(bootstrapLook):
		}
	}
}

// founders are the members that shall start the region, in order of name.
func (n *Node) founders() ([]gossip.Member, error) {
	var out []gossip.Member
	for _, m := range n.gossip.Members() {
		if m.Expect == 0 {
			continue
		}
		if m.Expect != n.config.BootstrapExpect {
			return nil, fmt.Errorf("node %s expects %d nodes to start the region, this one %d", m.Name, m.Expect, n.config.BootstrapExpect)
		}
		out = append(out, m)
	}
	if len(out) > n.config.BootstrapExpect {
		return nil, fmt.Errorf("%d nodes shall start a region of %d: start only so many with the number", len(out), n.config.BootstrapExpect)
	}
	slices.SortFunc(out, func(a, b gossip.Member) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// verdict is what a new disk does while its region starts.
type verdict int

const (
	unsure verdict = iota // nobody knows yet
	found                 // take part
	late                  // the region has started without it
)

// mayFound tells whether this node's new disk may take part. While fewer than a
// majority have an identity there can be no catalog yet; from then on the
// catalog is asked whether it has known a node of this name or id.
func (n *Node) mayFound(ctx context.Context, members []gossip.Member) (verdict, error) {
	known := 0
	for _, m := range members {
		if m.Node != 0 {
			known++
		}
	}
	if known <= len(members)/2 {
		return found, nil
	}
	registry, err := n.newRegistry(nil)
	if err != nil {
		return unsure, err
	}
	at := slices.IndexFunc(members, func(m gossip.Member) bool { return m.Name == n.config.Name })
	may, err := registry.MayFound(ctx, catalog.Node{ID: catalog.BootstrapNode(string(n.config.Region), at), Name: n.config.Name})
	switch {
	case apierr.Of(err) != nil:
		return unsure, fmt.Errorf("start region %s: %w", n.config.Region, err)
	case err != nil:
		n.config.Log.Warn("the region's catalog does not answer a new node", "error", err)
		return unsure, nil
	case !may:
		return late, nil
	}
	return found, nil
}

// found takes the node's id, and learns where the others are: they do not
// announce theirs before the catalog knows them, which needs them to talk.
func (n *Node) found(members []gossip.Member) []table.NodeID {
	ids := make([]table.NodeID, len(members))
	for i, m := range members {
		ids[i] = catalog.BootstrapNode(string(n.config.Region), i)
		n.addresses.set(ids[i], m.RPCAddr)
		if m.Name == n.config.Name {
			n.id = ids[i]
		}
	}
	return ids
}
