package globaltables

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// everywhere waits until what check says holds in all regions.
func (s *suite) everywhere(what string, check func(*types.TableDescription) (string, bool)) {
	s.Helper()
	for _, region := range world.regions {
		eventually(s.T, what+" in "+region, func(ctx context.Context) (string, bool) {
			d, err := s.describe(ctx, region)
			if err != nil {
				return err.Error(), false
			}
			return check(d)
		})
		s.settle(region)
	}
}

func (s *suite) update(region string, edit func(*dynamodb.UpdateTableInput)) {
	s.Helper()
	input := &dynamodb.UpdateTableInput{TableName: &s.name}
	edit(input)
	if _, err := in(region).UpdateTable(s.Context(), input); err != nil {
		s.Fatalf("update table in %s: %v", region, err)
	}
}

// TestSharedSettings: what AWS synchronises is the same everywhere, whichever
// region changed it: here the bound of on-demand writes.
func TestSharedSettings(t *testing.T) {
	s := global(t, nil)
	s.update(world.regions[1], func(u *dynamodb.UpdateTableInput) {
		u.OnDemandThroughput = &types.OnDemandThroughput{MaxWriteRequestUnits: aws.Int64(4321), MaxReadRequestUnits: aws.Int64(-1)}
	})
	s.everywhere("bound of writes", func(d *types.TableDescription) (string, bool) {
		if d.OnDemandThroughput == nil {
			return "no bound", false
		}
		n := aws.ToInt64(d.OnDemandThroughput.MaxWriteRequestUnits)
		return fmt.Sprint(n), n == 4321
	})
}

// TestOwnSettings: deletion protection and tags are each region's own.
func TestOwnSettings(t *testing.T) {
	s := global(t, nil)
	own, other := world.regions[1], world.regions[0]
	s.update(own, func(u *dynamodb.UpdateTableInput) { u.DeletionProtectionEnabled = aws.Bool(true) })
	s.settle(own)
	protected, err := s.describe(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	if !aws.ToBool(protected.DeletionProtectionEnabled) {
		t.Errorf("not protected in %s", own)
	}
	if _, err := in(own).TagResource(t.Context(), &dynamodb.TagResourceInput{
		ResourceArn: protected.TableArn, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("own")}},
	}); err != nil {
		t.Fatal(err)
	}
	d, err := s.describe(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToBool(d.DeletionProtectionEnabled) {
		t.Errorf("protected in %s too", other)
	}
	tags, err := in(other).ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: d.TableArn})
	if err != nil {
		t.Fatal(err)
	}
	if len(tags.Tags) != 0 {
		t.Errorf("%s has the tags %v", other, tags.Tags)
	}
	s.update(own, func(u *dynamodb.UpdateTableInput) { u.DeletionProtectionEnabled = aws.Bool(false) })
	s.settle(own)
}

// TestOverride: a replica's table class may be its own.
func TestOverride(t *testing.T) {
	s := single(t, nil)
	away := world.regions[1]
	if _, err := in(s.home).UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: &s.name, ReplicaUpdates: []types.ReplicationGroupUpdate{{Create: &types.CreateReplicationGroupMemberAction{
			RegionName: &away, TableClassOverride: types.TableClassStandardInfrequentAccess,
		}}},
	}); err != nil {
		t.Fatal(err)
	}
	s.settle(s.home)
	s.settle(away)
	d, err := s.describe(t.Context(), s.home)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range d.Replicas {
		if *r.RegionName != away {
			continue
		}
		if r.ReplicaTableClassSummary == nil || r.ReplicaTableClassSummary.TableClass != types.TableClassStandardInfrequentAccess {
			t.Errorf("replica's class: %+v", r.ReplicaTableClassSummary)
		}
	}
	there, err := s.describe(t.Context(), away)
	if err != nil {
		t.Fatal(err)
	}
	if there.TableClassSummary == nil || there.TableClassSummary.TableClass != types.TableClassStandardInfrequentAccess {
		t.Errorf("class in %s: %+v", away, there.TableClassSummary)
	}
}
