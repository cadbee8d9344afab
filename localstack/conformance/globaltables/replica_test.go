package globaltables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func hourAgo() int64 { return time.Now().Add(-time.Hour).Unix() }

// TestReplicaAddedUnderWrites: a replica has every acknowledged write, before
// and during its making, deletes included.
func TestReplicaAddedUnderWrites(t *testing.T) {
	s := single(t, nil)
	away := world.regions[1]
	for i := range 100 {
		s.put(s.home, fmt.Sprint("before-", i), "x")
	}
	stop := make(chan struct{})
	wrote := 0
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			s.put(s.home, fmt.Sprint("during-", wrote), "x")
			if wrote%5 == 0 {
				s.delete(s.home, fmt.Sprint("before-", wrote%100))
			}
			wrote++
		}
	})
	s.add(away)
	close(stop)
	group.Wait()
	for i := range 100 {
		want := "x"
		if i%5 == 0 && i < wrote {
			want = ""
		}
		s.arrives(fmt.Sprint("before-", i), want, away)
	}
	for i := range wrote {
		s.arrives(fmt.Sprint("during-", i), "x", away)
	}
}

// TestReplicaRemovedUnderWrites: what clients had acknowledged in a region that
// leaves is in those that stay.
func TestReplicaRemovedUnderWrites(t *testing.T) {
	s := single(t, nil)
	away := world.regions[1]
	s.add(away)
	var lock sync.Mutex
	var acked []string
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("w%d-%d", w, i)
				_, err := in(away).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.name, Item: itemOf{"id": str(id), "text": str("x")}})
				if err != nil {
					return // the replica is gone
				}
				lock.Lock()
				acked = append(acked, id)
				lock.Unlock()
			}
		})
	}
	eventually(t, "some writes", func(context.Context) (string, bool) {
		lock.Lock()
		defer lock.Unlock()
		return fmt.Sprint(len(acked)), len(acked) > 100
	})
	s.drop(away)
	group.Wait()
	lost := 0
	for _, id := range acked {
		if got, err := s.text(t.Context(), s.home, id); err != nil || got != "x" {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, len(acked))
	}
	if d, err := s.describe(t.Context(), s.home); err != nil || slices.Contains(replicas(d), away) {
		t.Errorf("replicas %v, %v", d, err)
	}
}

// TestReplicaComesBack: a region that left may come again, with what was written
// since and without what it held before.
func TestReplicaComesBack(t *testing.T) {
	s := single(t, nil)
	away := world.regions[1]
	s.put(s.home, "kept", "1")
	s.put(s.home, "deleted", "1")
	s.add(away)
	s.arrives("deleted", "1", away)
	s.drop(away)
	s.delete(s.home, "deleted")
	s.put(s.home, "kept", "2")
	s.add(away)
	s.arrives("kept", "2", away)
	s.arrives("deleted", "", away)
	s.put(away, "back", "1")
	s.arrives("back", "1", s.home)
}

// TestReplicaOfLargeItems: a table whose items are together far larger than one
// message between regions.
func TestReplicaOfLargeItems(t *testing.T) {
	s := single(t, nil)
	const items = 40
	large := strings.Repeat("x", 390_000)
	for i := range items {
		s.put(s.home, fmt.Sprint(i), large)
	}
	s.add(world.regions[1])
	for i := range items {
		if got, err := s.text(t.Context(), world.regions[1], fmt.Sprint(i)); err != nil || got != large {
			t.Fatalf("item %d: %d bytes, %v", i, len(got), err)
		}
	}
}

// TestDescribed: each region names the others, the version, and the table as its
// own.
func TestDescribed(t *testing.T) {
	s := global(t, nil)
	for _, region := range world.regions {
		d, err := s.describe(t.Context(), region)
		if err != nil {
			t.Fatal(err)
		}
		if got := aws.ToString(d.GlobalTableVersion); got != "2019.11.21" {
			t.Errorf("%s: version %q", region, got)
		}
		all := replicas(d)
		// AWS leaves out the region that answers in some answers, and not in others.
		if !slices.Contains(all, region) {
			all = append(all, region)
			slices.Sort(all)
		}
		if want := slices.Sorted(slices.Values(world.regions)); !slices.Equal(all, want) {
			t.Errorf("%s: replicas %v, want %v", region, all, want)
		}
		if !strings.Contains(*d.TableArn, ":"+region+":") || *d.TableName != s.name {
			t.Errorf("%s: %s, %s", region, *d.TableArn, *d.TableName)
		}
	}
}

// TestRefusals: what AWS refuses of changes to global tables.
func TestRefusals(t *testing.T) {
	s := global(t, nil)
	a, b := world.regions[0], world.regions[1]
	_, err := in(a).UpdateTable(t.Context(), createReplica(s.name, b))
	refused(t, err, "ValidationException", "")
	_, err = in(a).UpdateTable(t.Context(), createReplica(s.name, a))
	refused(t, err, "ValidationException", "")
	_, err = in(a).UpdateTable(t.Context(), createReplica(s.name, "xx-nowhere-1"))
	refused(t, err, "ValidationException", "xx-nowhere-1")
	_, err = in(a).UpdateTable(t.Context(), deleteReplica(s.name, "xx-nowhere-1"))
	refused(t, err, "ValidationException", "xx-nowhere-1")
	_, err = in(b).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: &s.name, StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)},
	})
	refused(t, err, "ValidationException", "")
	// The source of a replica cannot go while that replica is there.
	_, err = in(a).DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &s.name})
	refused(t, err, "ValidationException", "")
	for _, region := range world.regions {
		s.settle(region)
	}
}

// TestOldVersionRefused: the operations of version 2017.11.29 make nothing any
// more.
func TestOldVersionRefused(t *testing.T) {
	name := tableName(t)
	_, err := in(world.regions[0]).CreateGlobalTable(t.Context(), &dynamodb.CreateGlobalTableInput{
		GlobalTableName: &name, ReplicationGroup: []types.Replica{{RegionName: &world.regions[0]}, {RegionName: &world.regions[1]}},
	})
	if err == nil {
		t.Fatal("a global table of the old version was made")
	}
	var missing *types.TableNotFoundException
	if errors.As(err, &missing) {
		t.Errorf("refused for its table, not for its version: %v", err)
	}
}

// TestSourceStays: the source of a replica stays it when the replica is changed.
func TestSourceStays(t *testing.T) {
	s := single(t, nil)
	away := world.regions[1]
	s.add(away)
	s.update(s.home, func(u *dynamodb.UpdateTableInput) {
		u.ReplicaUpdates = []types.ReplicationGroupUpdate{
			{Update: &types.UpdateReplicationGroupMemberAction{RegionName: &away, TableClassOverride: types.TableClassStandardInfrequentAccess}},
		}
	})
	s.settle(s.home)
	_, err := in(s.home).DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &s.name})
	refused(t, err, "ValidationException", "acted as a source region")
}
