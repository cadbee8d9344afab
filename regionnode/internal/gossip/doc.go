// Package gossip tells who may be alive and where to reach them: a Serf pool of
// a region's nodes, or one between regions. What it says is a hint, neither
// identity nor ownership: members prove who they are when rpc connects, and the
// catalog alone decides what they hold. It knows no partition and no raft.
package gossip
