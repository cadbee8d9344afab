package keys

import (
	"bytes"
	"testing"
)

// TestSyncedGroups wants the newest node-local fact printed, and apart from the
// others.
func TestSyncedGroups(t *testing.T) {
	if got, want := Print(SyncedGroups()), `/local/"synced"`; got != want {
		t.Errorf("prints %s, want %s", got, want)
	}
	if bytes.Compare(ReplicaPast(1<<63), SyncedGroups()) >= 0 || bytes.Compare(SyncedGroups(), Descriptor(0)) >= 0 {
		t.Error("is not between what the node remembers of replicas and descriptors")
	}
}
