package cluster

import (
	"fmt"
	"slices"
)

// ReplaceNode kills a node's process for good and starts another one in its
// place: with an empty disk, under a name of its own, at the same addresses, as a
// machine that was installed anew. It neither tells the region that the old one
// is gone nor waits until the new one serves, whose id Info does not know. A later
// Start on the same directory knows nothing of it. Without processes of their
// own, or another name, it fails.
func (c *Cluster) ReplaceNode(name string) (NodeInfo, error) {
	i := slices.IndexFunc(c.plan.Nodes, func(p nodePlace) bool { return p.Name == name })
	if i < 0 {
		return NodeInfo{}, fmt.Errorf("no node %s is in its place", name)
	}
	if err := c.KillNode(name); err != nil {
		return NodeInfo{}, err
	}
	place := c.plan.Nodes[i]
	c.replaced++
	place.Name = fmt.Sprintf("%s-%d", place.Region, c.config.NodesPerRegion+c.replaced)
	place.joins = true
	c.plan.Nodes[i] = place
	args, err := c.nodeArgs(c.plan, place)
	if err != nil {
		return NodeInfo{}, err
	}
	p, err := c.begin(place.Name, "regionnode", args)
	if err != nil {
		return NodeInfo{}, err
	}
	info := NodeInfo{Name: place.Name, Zone: place.Zone, PID: p.pid(), Admin: "http://" + place.Admin, RPC: place.RPC}
	c.infoLock.Lock()
	defer c.infoLock.Unlock()
	for _, r := range c.info.Regions {
		for n := range r.Nodes {
			if r.Nodes[n].Name == name {
				r.Nodes[n] = info
			}
		}
	}
	return info, nil
}
