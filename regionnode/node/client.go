package node

import (
	"antipode/regionnode"
	"antipode/regionnode/client"
	"antipode/regionnode/table"
)

// NewClient is a client of one region whose nodes run in this process: a call
// for a partition that one of them holds does not leave the process. It closes
// with its user; the nodes outlive it.
func NewClient(nodes ...*Node) (*client.Client, error) {
	byID := make(map[table.NodeID]regionnode.Data, len(nodes))
	seeds := make([]string, 0, len(nodes))
	for _, n := range nodes {
		byID[n.id] = n
		seeds = append(seeds, n.rpcAddr)
	}
	return client.New(client.Config{
		Seeds:       seeds,
		Pool:        nodes[0].pool,
		LocalTables: nodes[0],
		Local: func(id table.NodeID) (regionnode.Data, bool) {
			n, ok := byID[id]
			return n, ok
		},
	})
}
