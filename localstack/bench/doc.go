// Package bench measures a running antipode against floors of the same machine:
// net/http servers that answer the same requests with as many bytes as antipode
// does, and net/http servers that make as many synced Pebble writes in turn, one
// or two, as the operation cannot do without. One raw load generator drives all
// of them with the same signed bytes, so a ratio is the server's and not the
// client's. It knows servers only by their address.
package bench
