// Package bench measures a running antipode against two floors of the same
// machine: a bare net/http echo, and net/http with one synced Pebble write. One
// raw load generator drives all of them with the same signed bytes, so a ratio
// is the server's and not the client's. It knows servers only by their address.
package bench
