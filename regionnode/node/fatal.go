package node

import (
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"
)

// storeFailed ends the process when the node's store cannot go on: whatever it
// did next could break the promise that what is acknowledged is on disk.
func (n *Node) storeFailed(reason string) {
	fmt.Fprintf(os.Stderr, "node %s stops, its store in %s cannot go on: %s\n"+
		"Nothing that was acknowledged is lost: mend it (free space, replace the disk) and start again.\n",
		n.config.Name, n.config.Dir, reason)
	os.Exit(1)
}

// corruptStore tells an operator what to do about a store that cannot be opened,
// or lacks what the node needs to know of itself. Other errors stay as they are.
func (n *Node) corruptStore(err error) error {
	if !pebble.IsCorruptionError(err) {
		return err
	}
	return fmt.Errorf("the store of node %s in %s is corrupt and cannot be used: %w\n"+
		"What other nodes hold is whole. Do not start this one with the directory again: run 'antipode node remove %s' against "+
		"another node, so that its replicas are made anew there, empty the directory, and start the node as a new one",
		n.config.Name, n.config.Dir, err, n.config.Name)
}

// storeCorrupt hears of files whose content is not what was written.
func (n *Node) storeCorrupt(start, end []byte, err error) {
	if host := n.corruptible.Load(); host != nil {
		host.Corruption(start, end, err)
	}
}
