package functions

import (
	"encoding/json"
	"testing"

	"antipode/functions/wire"
	"antipode/regionnode/table"
)

// The members that only a global table has, from one region's point of view.
func TestDescribeGlobalTable(t *testing.T) {
	read := int64(7)
	d := &table.Descriptor{
		Name: "t", Region: "us-east-1", Account: "000000000000", Status: table.Active, BillingMode: payPerRequest,
		Key: table.KeySchema{Hash: []string{"pk"}},
		Global: &table.Global{Home: "us-east-1", Replicas: []table.Replica{
			{Region: "us-east-1", Status: table.Active},
			{Region: "eu-west-1", Status: table.Creating, StatusNote: "copying", ReadOverride: &read, TableClass: "STANDARD",
				Indexes: []table.ReplicaIndex{{Name: "gsi", OnDemandRead: &read}}},
		}},
	}
	w := wire.NewWriter()
	defer w.Free()
	writeTable(w, d)
	var got map[string]any
	if err := json.Unmarshal(w.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["GlobalTableVersion"] != "2019.11.21" || got["MultiRegionConsistency"] != "EVENTUAL" {
		t.Errorf("version %v, consistency %v", got["GlobalTableVersion"], got["MultiRegionConsistency"])
	}
	text, err := json.Marshal(got["Replicas"])
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"GlobalSecondaryIndexes":[{"IndexName":"gsi","OnDemandThroughputOverride":{"MaxReadRequestUnits":7}}],` +
		`"ProvisionedThroughputOverride":{"ReadCapacityUnits":7},"RegionName":"eu-west-1",` +
		`"ReplicaArn":"arn:aws:dynamodb:eu-west-1:000000000000:table/t","ReplicaStatus":"CREATING","ReplicaStatusDescription":"copying",` +
		`"ReplicaTableClassSummary":{"TableClass":"STANDARD"},` +
		`"WarmThroughput":{"ReadUnitsPerSecond":12000,"Status":"UPDATING","WriteUnitsPerSecond":4000}}]`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
