package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/internal/gossip"
	"antipode/regionnode/table"
)

// bootstrapLook is how often a node looks for those that shall start the region
// with it.
const bootstrapLook = 20 * time.Millisecond

// bootstrap waits until gossip knows all nodes that shall start the region
// together, and takes the id that follows from their names' order. All of them
// come to the same order, whoever is first. It answers with the ids of all.
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
			ok, err := n.mayFound(ctx, members)
			if err != nil {
				return nil, err
			}
			if ok {
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

// mayFound tells whether this node's new disk may take part. While fewer than a
// majority have an identity there can be no catalog yet; from then on the
// catalog is asked whether it has known a node of this name.
func (n *Node) mayFound(ctx context.Context, members []gossip.Member) (bool, error) {
	known := 0
	for _, m := range members {
		if m.Node != 0 {
			known++
		}
	}
	if known <= len(members)/2 {
		return true, nil
	}
	registry, err := n.newRegistry(nil)
	if err != nil {
		return false, err
	}
	rows, err := registry.Nodes(ctx)
	if err != nil {
		n.config.Log.Warn("the region's catalog does not answer a new node", "error", err)
		return false, nil
	}
	if slices.ContainsFunc(rows, func(row catalog.Node) bool { return row.Name == n.config.Name }) {
		return false, fmt.Errorf("region %s knows a node %s, but this disk is empty: it must come back under another name", n.config.Region, n.config.Name)
	}
	return true, nil
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
