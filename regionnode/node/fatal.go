package node

import (
	"fmt"
	"os"
)

// storeFailed ends the process when the node's store cannot go on: whatever it
// did next could break the promise that what is acknowledged is on disk.
func (n *Node) storeFailed(reason string) {
	fmt.Fprintf(os.Stderr, "node %s stops, its store in %s cannot go on: %s\n"+
		"Nothing that was acknowledged is lost: mend it (free space, replace the disk) and start again.\n",
		n.config.Name, n.config.Dir, reason)
	os.Exit(1)
}

// storeCorrupt hears of files whose content is not what was written.
func (n *Node) storeCorrupt(start, end []byte, err error) {
	if host := n.corruptible.Load(); host != nil {
		host.Corruption(start, end, err)
	}
}
