// Package history judges what clients saw: whether keys behaved as registers
// (linearizability), and whether what was acknowledged happened exactly once. It
// knows neither the system under test nor its faults.
package history
