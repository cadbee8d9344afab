package globaltables

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const byText = "by-text"

func textIndex() ([]types.AttributeDefinition, []types.KeySchemaElement, *types.Projection) {
	return []types.AttributeDefinition{
			{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("text"), AttributeType: types.ScalarAttributeTypeS},
		}, []types.KeySchemaElement{{AttributeName: aws.String("text"), KeyType: types.KeyTypeHash}},
		&types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}
}

// found are the ids that a region's index gives for a text, sorted.
func (s *suite) found(ctx context.Context, region, text string) ([]string, error) {
	out, err := in(region).Query(ctx, &dynamodb.QueryInput{
		TableName: &s.name, IndexName: aws.String(byText), KeyConditionExpression: aws.String("#t = :t"),
		ExpressionAttributeNames: map[string]string{"#t": "text"}, ExpressionAttributeValues: itemOf{":t": str(text)},
	})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, it := range out.Items {
		ids = append(ids, it["id"].(*types.AttributeValueMemberS).Value)
	}
	slices.Sort(ids)
	return ids, nil
}

func (s *suite) indexed(text string, want ...string) {
	s.Helper()
	for _, region := range world.regions {
		eventually(s.T, "index of "+region, func(ctx context.Context) (string, bool) {
			got, err := s.found(ctx, region, text)
			return fmt.Sprint(got, err), err == nil && slices.Equal(got, want)
		})
	}
}

// TestIndexInEveryRegion: each replica keeps the index for itself, of what comes
// from anywhere.
func TestIndexInEveryRegion(t *testing.T) {
	s := global(t, func(c *dynamodb.CreateTableInput) {
		definitions, key, projection := textIndex()
		c.AttributeDefinitions = definitions
		c.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{IndexName: aws.String(byText), KeySchema: key, Projection: projection}}
	})
	for i, region := range world.regions {
		s.put(region, fmt.Sprint(i), "same")
	}
	var all []string
	for i := range world.regions {
		all = append(all, fmt.Sprint(i))
	}
	s.indexed("same", all...)
	s.put(world.regions[1], "0", "moved")
	s.indexed("moved", "0")
	s.indexed("same", all[1:]...)
	s.delete(world.regions[0], "1")
	s.indexed("same", all[2:]...)
}

// TestIndexAddedEverywhere: an index that is added in one region is added in all,
// and filled from what each has; removed, it is gone in all.
func TestIndexAddedEverywhere(t *testing.T) {
	s := global(t, nil)
	for i := range 10 {
		s.put(world.regions[i%len(world.regions)], fmt.Sprint(i), "same")
	}
	definitions, key, projection := textIndex()
	if _, err := in(world.regions[1]).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: &s.name, AttributeDefinitions: definitions,
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: aws.String(byText), KeySchema: key, Projection: projection,
		}}},
	}); err != nil {
		t.Fatal(err)
	}
	s.indexCount(1)
	s.indexed("same", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	if _, err := in(world.regions[0]).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName:                   &s.name,
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String(byText)}}},
	}); err != nil {
		t.Fatal(err)
	}
	s.indexCount(0)
}

// indexCount waits until every region has n indexes, all ACTIVE, and rests.
func (s *suite) indexCount(n int) {
	s.Helper()
	for _, region := range world.regions {
		eventually(s.T, "indexes in "+region, func(ctx context.Context) (string, bool) {
			d, err := s.describe(ctx, region)
			if err != nil {
				return err.Error(), false
			}
			return fmt.Sprint(len(d.GlobalSecondaryIndexes), " indexes"), len(d.GlobalSecondaryIndexes) == n
		})
		s.settle(region)
	}
}
