package globaltables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// suite is one global table under test. Its key is the string "id".
type suite struct {
	*testing.T
	name string
	// home is where the table was made.
	home string
}

type itemOf = map[string]types.AttributeValue

var tables atomic.Int64

func tableName(t *testing.T) string {
	clean := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	return fmt.Sprintf("antipode-%s-%d-%d", clean, os.Getpid(), tables.Add(1))
}

// single makes a table in the first region; edit may change what is asked for.
func single(t *testing.T, edit func(*dynamodb.CreateTableInput)) *suite {
	t.Helper()
	s := &suite{T: t, name: tableName(t), home: world.regions[0]}
	input := &dynamodb.CreateTableInput{
		TableName: &s.name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	}
	if edit != nil {
		edit(input)
	}
	if _, err := in(s.home).CreateTable(t.Context(), input); err != nil {
		t.Fatalf("create table: %v", err)
	}
	t.Cleanup(s.remove)
	s.settle(s.home)
	return s
}

// global is single with a replica in every other region.
func global(t *testing.T, edit func(*dynamodb.CreateTableInput)) *suite {
	t.Helper()
	s := single(t, edit)
	for _, region := range world.regions[1:] {
		s.add(region)
	}
	return s
}

// remove deletes the replicas, then the table. What AWS refuses for a day (the
// source of a replica) goes after the others.
func (s *suite) remove() {
	ctx := context.Background()
	for _, region := range world.regions[1:] {
		if _, err := in(s.home).UpdateTable(ctx, deleteReplica(s.name, region)); err == nil {
			s.gone(ctx, region)
		}
	}
	_, _ = in(s.home).DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &s.name})
}

// gone waits for a replica's end without failing: it cleans up.
func (s *suite) gone(ctx context.Context, region string) {
	ctx, cancel := context.WithTimeout(ctx, *patienceFlag)
	defer cancel()
	waiter := dynamodb.NewTableNotExistsWaiter(in(region), func(o *dynamodb.TableNotExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, *patienceFlag/10
	})
	_ = waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &s.name}, *patienceFlag)
}

func createReplica(name, region string) *dynamodb.UpdateTableInput {
	return &dynamodb.UpdateTableInput{TableName: &name, ReplicaUpdates: []types.ReplicationGroupUpdate{
		{Create: &types.CreateReplicationGroupMemberAction{RegionName: &region}},
	}}
}

func deleteReplica(name, region string) *dynamodb.UpdateTableInput {
	return &dynamodb.UpdateTableInput{TableName: &name, ReplicaUpdates: []types.ReplicationGroupUpdate{
		{Delete: &types.DeleteReplicationGroupMemberAction{RegionName: &region}},
	}}
}

// add makes a replica and waits until it and all others are ACTIVE.
func (s *suite) add(region string) {
	s.Helper()
	if _, err := in(s.home).UpdateTable(s.Context(), createReplica(s.name, region)); err != nil {
		s.Fatalf("add replica in %s: %v", region, err)
	}
	s.settle(s.home)
	s.settle(region)
}

// drop deletes a replica and waits until the others have forgotten it.
func (s *suite) drop(region string) {
	s.Helper()
	if _, err := in(s.home).UpdateTable(s.Context(), deleteReplica(s.name, region)); err != nil {
		s.Fatalf("delete replica in %s: %v", region, err)
	}
	eventually(s.T, "end of the replica in "+region, func(ctx context.Context) (string, bool) {
		_, err := in(region).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.name})
		var gone *types.ResourceNotFoundException
		return fmt.Sprint(err), errors.As(err, &gone)
	})
	s.settle(s.home)
}

func (s *suite) describe(ctx context.Context, region string) (*types.TableDescription, error) {
	out, err := in(region).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.name})
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// settle waits until a region shows the table, its indexes and all its replicas
// ACTIVE.
func (s *suite) settle(region string) {
	s.Helper()
	eventually(s.T, "table "+s.name+" in "+region, func(ctx context.Context) (string, bool) {
		d, err := s.describe(ctx, region)
		if err != nil {
			return err.Error(), false
		}
		for _, r := range d.Replicas {
			if r.ReplicaStatus != types.ReplicaStatusActive {
				return fmt.Sprintf("replica %s %s", *r.RegionName, r.ReplicaStatus), false
			}
		}
		for _, x := range d.GlobalSecondaryIndexes {
			if x.IndexStatus != types.IndexStatusActive {
				return fmt.Sprintf("index %s %s", *x.IndexName, x.IndexStatus), false
			}
		}
		return string(d.TableStatus), d.TableStatus == types.TableStatusActive
	})
}

// replicas are the regions that a region's DescribeTable names, sorted.
func replicas(d *types.TableDescription) []string {
	var out []string
	for _, r := range d.Replicas {
		out = append(out, *r.RegionName)
	}
	slices.Sort(out)
	return out
}

func str(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }

func num(n int64) types.AttributeValue { return &types.AttributeValueMemberN{Value: fmt.Sprint(n)} }

func keyOf(id string) itemOf { return itemOf{"id": str(id)} }

func (s *suite) put(region, id, text string) {
	s.Helper()
	s.putItem(region, itemOf{"id": str(id), "text": str(text)})
}

func (s *suite) putItem(region string, it itemOf) {
	s.Helper()
	if _, err := in(region).PutItem(s.Context(), &dynamodb.PutItemInput{TableName: &s.name, Item: it}); err != nil {
		s.Fatalf("put in %s: %v", region, err)
	}
}

func (s *suite) delete(region, id string) {
	s.Helper()
	if _, err := in(region).DeleteItem(s.Context(), &dynamodb.DeleteItemInput{TableName: &s.name, Key: keyOf(id)}); err != nil {
		s.Fatalf("delete in %s: %v", region, err)
	}
}

// text reads an item's text; "" when there is no item.
func (s *suite) text(ctx context.Context, region, id string) (string, error) {
	out, err := in(region).GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.name, Key: keyOf(id), ConsistentRead: aws.Bool(true)})
	if err != nil || out.Item == nil {
		return "", err
	}
	v, _ := out.Item["text"].(*types.AttributeValueMemberS)
	if v == nil {
		return "", fmt.Errorf("item %s has no text: %v", id, out.Item)
	}
	return v.Value, nil
}

// arrives waits until every given region reads want; "" is absence.
func (s *suite) arrives(id, want string, regions ...string) {
	s.Helper()
	for _, region := range regions {
		eventually(s.T, id+" in "+region, func(ctx context.Context) (string, bool) {
			got, err := s.text(ctx, region, id)
			if err != nil {
				return err.Error(), false
			}
			return fmt.Sprintf("%q", got), got == want
		})
	}
}

// agree waits until all regions read the same of each id, and answers with it.
// flush must have arrived before, or later writes could still be on their way.
func (s *suite) agree(ids ...string) map[string]string {
	s.Helper()
	settled := map[string]string{}
	for _, id := range ids {
		eventually(s.T, id+" in all regions", func(ctx context.Context) (string, bool) {
			values := map[string]bool{}
			for _, region := range world.regions {
				got, err := s.text(ctx, region, id)
				if err != nil {
					return err.Error(), false
				}
				values[got] = true
				settled[id] = got
			}
			return fmt.Sprint(values), len(values) == 1
		})
	}
	return settled
}

func others(region string) []string {
	return slices.DeleteFunc(slices.Clone(world.regions), func(r string) bool { return r == region })
}

// refused checks an error's code and a part of its message.
func refused(t *testing.T, err error, code, part string) {
	t.Helper()
	var api interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if !errors.As(err, &api) {
		t.Errorf("not refused: %v", err)
		return
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), part) {
		t.Errorf("refused with %s: %s\nwant %s: …%s…", api.ErrorCode(), api.ErrorMessage(), code, part)
	}
}
