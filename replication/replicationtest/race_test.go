//go:build race

package replicationtest

// The race detector makes a simulation many times slower.
const defaultSeeds = 30
