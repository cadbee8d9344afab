// Package client is a regionnode.Service that finds the right node. It starts
// from any node's address, keeps descriptors and partition maps, routes each
// request to its partition's leader, and repeats what was definitely not applied
// until it is answered or out of time. What may have been applied it never
// repeats, unless it only reads (I10).
//
// It runs inside request functions and inside nodes. It knows neither HTTP nor
// storage, and never joins the gossip: the nodes' epoch checks (I8) and a steady
// refresh correct its maps.
package client
