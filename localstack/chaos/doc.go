// Package chaos drives one region of several nodes with clients while it kills,
// stops and restarts the nodes' processes, and checks what the clients saw:
// each key must have behaved as one register (linearizability), and no
// acknowledged write may be missing in the end. It knows the product's HTTP
// API and its processes' ids, and nothing of how they work.
package chaos
