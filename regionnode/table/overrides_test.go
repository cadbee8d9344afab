package table_test

import (
	"testing"

	"antipode/regionnode/table"
)

// TestEffective: only the own region's overrides count, and the descriptor they
// are laid over stays as it is.
func TestEffective(t *testing.T) {
	read, bound, index := int64(7), int64(70), int64(700)
	d := &table.Descriptor{
		Region: "eu-west-1", Class: "STANDARD", Throughput: table.Throughput{Read: 1, Write: 2},
		Globals: []table.Index{{Name: "a", Throughput: table.Throughput{Read: 3, Write: 4}}, {Name: "b"}},
		Global: &table.Global{Replicas: []table.Replica{
			{Region: "us-east-1", TableClass: "OTHER", ReadOverride: &index},
			{
				Region: "eu-west-1", TableClass: "STANDARD_INFREQUENT_ACCESS", ReadOverride: &read, OnDemandRead: &bound,
				Indexes: []table.ReplicaIndex{{Name: "a", ReadOverride: &index}, {Name: "gone", ReadOverride: &index}},
			},
		}},
	}
	got := d.Effective()
	if got.Class != "STANDARD_INFREQUENT_ACCESS" || got.Throughput != (table.Throughput{Read: 7, Write: 2}) ||
		*got.OnDemand != (table.OnDemand{MaxRead: 70, MaxWrite: -1}) || got.Globals[0].Throughput != (table.Throughput{Read: 700, Write: 4}) {
		t.Errorf("%+v", got)
	}
	if d.Class != "STANDARD" || d.Throughput.Read != 1 || d.OnDemand != nil || d.Globals[0].Throughput.Read != 3 {
		t.Errorf("the descriptor was changed: %+v", d)
	}
	d.Region = "ap-south-1"
	if d.Effective() != d {
		t.Error("overrides of other regions count")
	}
}
