//go:build !race

package replicationtest

const defaultSeeds = 200
