package conformance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// newGlobalTable makes a table in the first region and replicas in all others.
func newGlobalTable(t *testing.T) string {
	t.Helper()
	home := target.regions[0]
	name := newTable(t, home)
	for _, region := range target.regions[1:] {
		addReplica(t, home, name, region)
	}
	return name
}

func addReplica(t *testing.T, home, name, region string) {
	t.Helper()
	_, err := in(home).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: &name,
		ReplicaUpdates: []types.ReplicationGroupUpdate{{
			Create: &types.CreateReplicationGroupMemberAction{RegionName: aws.String(region)},
		}},
	})
	if err != nil {
		t.Fatalf("add replica in %s: %v", region, err)
	}
	awaitTable(t, home, name)
	awaitTable(t, region, name)
	t.Cleanup(func() {
		// AWS deletes a replica through the table's other regions.
		_, _ = in(home).UpdateTable(context.Background(), &dynamodb.UpdateTableInput{
			TableName:      &name,
			ReplicaUpdates: []types.ReplicationGroupUpdate{{Delete: &types.DeleteReplicationGroupMemberAction{RegionName: aws.String(region)}}},
		})
	})
}

func put(t *testing.T, region, name, id, text string) {
	t.Helper()
	_, err := in(region).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
		"id": &types.AttributeValueMemberS{Value: id}, "text": &types.AttributeValueMemberS{Value: text},
	}})
	if err != nil {
		t.Fatalf("put %s in %s: %v", id, region, err)
	}
}

// text reads an item's text, "" when there is no item.
func text(ctx context.Context, region, name, id string) (string, error) {
	out, err := in(region).GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &name, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
	})
	if err != nil || out.Item == nil {
		return "", err
	}
	return out.Item["text"].(*types.AttributeValueMemberS).Value, nil
}

func awaitText(t *testing.T, region, name, id, want string) {
	t.Helper()
	eventually(t, id+" in "+region, func(ctx context.Context) (string, bool) {
		got, err := text(ctx, region, name, id)
		if err != nil {
			return err.Error(), false
		}
		return strconv.Quote(got), got == want
	})
}

// TestQuickStart is a new user's path: create, add replicas, write in one
// region, read in the others, delete.
func TestQuickStart(t *testing.T) {
	name := newGlobalTable(t)
	for _, from := range target.regions {
		put(t, from, name, "from-"+from, "hello from "+from)
		for _, to := range target.regions {
			awaitText(t, to, name, "from-"+from, "hello from "+from)
		}
	}
	last := target.regions[len(target.regions)-1]
	_, err := in(last).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: &name, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "from-" + target.regions[0]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range target.regions {
		awaitText(t, region, name, "from-"+target.regions[0], "")
	}
}

// TestConflictsConverge writes the same keys in all regions at once, with
// deletes between, and wants one value everywhere at the end.
func TestConflictsConverge(t *testing.T) {
	name := newGlobalTable(t)
	const keys, rounds = 20, 10
	var group sync.WaitGroup
	for _, region := range target.regions {
		group.Go(func() {
			for round := range rounds {
				for k := range keys {
					id := fmt.Sprint("key-", k)
					if (round+k)%7 == 0 {
						_, _ = in(region).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
							TableName: &name, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
						})
						continue
					}
					_, err := in(region).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
						"id":   &types.AttributeValueMemberS{Value: id},
						"text": &types.AttributeValueMemberS{Value: fmt.Sprintf("%s round %d", region, round)},
					}})
					if err != nil {
						t.Errorf("put in %s: %v", region, err)
					}
				}
			}
		})
	}
	group.Wait()
	// A last write that has seen the others ends the race; then all must agree.
	for _, region := range target.regions {
		put(t, region, name, "last-"+region, region)
	}
	for _, to := range target.regions {
		for _, from := range target.regions {
			awaitText(t, to, name, "last-"+from, from)
		}
	}
	for k := range keys {
		id := fmt.Sprint("key-", k)
		eventually(t, id+" in all regions", func(ctx context.Context) (string, bool) {
			values := map[string]bool{}
			for _, region := range target.regions {
				got, err := text(ctx, region, name, id)
				if err != nil {
					return err.Error(), false
				}
				values[got] = true
			}
			return fmt.Sprint(values), len(values) == 1
		})
	}
}

// TestReplicaUnderWrites adds a replica while its table is being written: the
// replica must have every acknowledged write, before and after.
func TestReplicaUnderWrites(t *testing.T) {
	home, away := target.regions[0], target.regions[1]
	name := newTable(t, home)
	for i := range 200 {
		put(t, home, name, fmt.Sprint("before-", i), "x")
	}
	stop := make(chan struct{})
	var wrote int
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				wrote = i
				return
			default:
				put(t, home, name, fmt.Sprint("during-", i), "x")
			}
		}
	})
	addReplica(t, home, name, away)
	close(stop)
	group.Wait()
	for i := range 200 {
		awaitText(t, away, name, fmt.Sprint("before-", i), "x")
	}
	for i := range wrote {
		awaitText(t, away, name, fmt.Sprint("during-", i), "x")
	}
}

// TestRemoveReplicaUnderWrites removes a replica while clients write in its
// region: what was acknowledged there is in the region that stays.
func TestRemoveReplicaUnderWrites(t *testing.T) {
	home, away := target.regions[0], target.regions[1]
	name := newTable(t, home)
	addReplica(t, home, name, away)
	var lock sync.Mutex
	var acked []string
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("w%d-%d", w, i)
				_, err := in(away).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
					"id": &types.AttributeValueMemberS{Value: id}, "text": &types.AttributeValueMemberS{Value: "x"},
				}})
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
	_, err := in(home).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName:      &name,
		ReplicaUpdates: []types.ReplicationGroupUpdate{{Delete: &types.DeleteReplicationGroupMemberAction{RegionName: aws.String(away)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	group.Wait()
	eventually(t, "the replica's end", func(ctx context.Context) (string, bool) {
		_, err := in(away).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		var gone *types.ResourceNotFoundException
		return fmt.Sprint(err), errors.As(err, &gone)
	})
	awaitTable(t, home, name)
	lost := 0
	for _, id := range acked {
		if got, err := text(t.Context(), home, name, id); err != nil || got != "x" {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, len(acked))
	}
}

// TestReplicaOfLargeItems adds a replica to a table whose items together are far
// more than one message between regions holds.
func TestReplicaOfLargeItems(t *testing.T) {
	home, away := target.regions[0], target.regions[1]
	name := newTable(t, home)
	const items = 60
	large := strings.Repeat("x", 390_000)
	for i := range items {
		put(t, home, name, fmt.Sprint(i), large)
	}
	addReplica(t, home, name, away)
	for i := range items {
		if got, err := text(t.Context(), away, name, fmt.Sprint(i)); err != nil || got != large {
			t.Fatalf("item %d: %d bytes, %v", i, len(got), err)
		}
	}
}
