package conformance

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// expireBy switches time to live on.
func expireBy(t *testing.T, region, name, attribute string) {
	t.Helper()
	_, err := in(region).UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName: &name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: aws.Bool(true)},
	})
	if err != nil {
		t.Fatalf("switch time to live on: %v", err)
	}
}

func putExpiring(t *testing.T, region, name, id string, at types.AttributeValue) {
	t.Helper()
	_, err := in(region).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
		"id": &types.AttributeValueMemberS{Value: id}, "until": at,
	}})
	if err != nil {
		t.Fatalf("put %s: %v", id, err)
	}
}

func ago(d time.Duration) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(time.Now().Add(-d).Unix(), 10)}
}

// ids are the items that a table has.
func ids(ctx context.Context, region, name string) (map[string]bool, error) {
	out, err := in(region).Scan(ctx, &dynamodb.ScanInput{TableName: &name, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, it := range out.Items {
		all[it["id"].(*types.AttributeValueMemberS).Value] = true
	}
	return all, nil
}

// TestTimeToLive expires what has expired, written before and after the setting
// was switched on, and says so in the stream.
func TestTimeToLive(t *testing.T) {
	region := target.regions[0]
	name := newTable(t, region)
	arn := startStream(t, region, name, types.StreamViewTypeOldImage)
	putExpiring(t, region, name, "old", ago(time.Hour))
	expireBy(t, region, name, "until")
	putExpiring(t, region, name, "new", ago(time.Second))
	putExpiring(t, region, name, "future", ago(-time.Hour))
	putExpiring(t, region, name, "ancient", ago(6*365*24*time.Hour))
	putExpiring(t, region, name, "text", &types.AttributeValueMemberS{Value: "1700000000"})
	eventually(t, "expiry of two items of five", func(ctx context.Context) (string, bool) {
		left, err := ids(ctx, region, name)
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprint(left), len(left) == 3 && left["future"] && left["ancient"] && left["text"]
	})
	removed := 0
	for _, r := range recordsOf(t, region, arn) {
		if (r.UserIdentity != nil) != (r.EventName == streams.OperationTypeRemove) {
			t.Errorf("%s with identity %v", r.EventName, r.UserIdentity)
		}
		if r.UserIdentity != nil {
			removed++
			if *r.UserIdentity.Type != "Service" || *r.UserIdentity.PrincipalId != "dynamodb.amazonaws.com" || r.Dynamodb.OldImage == nil {
				t.Errorf("record %+v", r)
			}
		}
	}
	if removed != 2 {
		t.Errorf("%d items were removed", removed)
	}
}

// TestTimeToLiveOfGlobalTable: an item that expires is gone in every region, and
// each region's stream has one record of that.
func TestTimeToLiveOfGlobalTable(t *testing.T) {
	name := newGlobalTable(t)
	home := target.regions[0]
	expireBy(t, home, name, "until")
	for _, region := range target.regions {
		eventually(t, "setting in "+region, func(ctx context.Context) (string, bool) {
			out, err := in(region).DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
			if err != nil {
				return err.Error(), false
			}
			s := out.TimeToLiveDescription.TimeToLiveStatus
			return string(s), s == types.TimeToLiveStatusEnabled
		})
	}
	awaitTable(t, home, name)
	putExpiring(t, home, name, "stays", ago(-time.Hour))
	putExpiring(t, home, name, "goes", ago(-time.Second))
	for _, region := range target.regions {
		out, err := in(region).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "expiry in "+region, func(ctx context.Context) (string, bool) {
			left, err := ids(ctx, region, name)
			if err != nil {
				return err.Error(), false
			}
			lines := byItem(recordsOf(t, region, *out.Table.LatestStreamArn))
			return fmt.Sprint(left, lines), len(left) == 1 && left["stays"] && lines["goes"] == "INSERT ->.; REMOVE .>-; "
		})
	}
}
