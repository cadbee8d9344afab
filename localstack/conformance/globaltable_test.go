package conformance

import (
	"context"
	"strconv"
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

// TestReplicaAutoScaling describes the scaling of a global table's replicas.
func TestReplicaAutoScaling(t *testing.T) {
	if len(target.regions) < 2 {
		return // no global table in one region
	}
	name := newGlobalTable(t)
	out, err := in(target.regions[1]).DescribeTableReplicaAutoScaling(t.Context(), &dynamodb.DescribeTableReplicaAutoScalingInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	d := out.TableAutoScalingDescription
	if *d.TableName != name || d.TableStatus != types.TableStatusActive || len(d.Replicas) != len(target.regions) {
		t.Errorf("described %+v", d)
	}
}
