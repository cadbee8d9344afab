package functions

import (
	"strings"
	"testing"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/table"
)

// TestReplicationSums: a table's watermark is the least of its partitions', and
// unknown, with the reason, when any of them does not know.
func TestReplicationSums(t *testing.T) {
	const ms = 1_000_000
	link := func(durable int64, state regionnode.LinkState) []regionnode.ReplicationLink {
		return []regionnode.ReplicationLink{
			{Peer: "ap-south-1", State: regionnode.LinkHalted},
			{Peer: "eu-west-1", State: state, Durable: durable, Lag: durable, Pending: 2, InFlight: 1, InFlightBytes: 10, Rejected: 1},
		}
	}
	for name, c := range map[string]struct {
		status  table.Status
		answers []partitionLinks
		want    string // part of the answer
	}{
		"the least": {table.Active, []partitionLinks{
			{id: 1, links: link(7000*ms, regionnode.LinkStreaming)}, {id: 2, links: link(5999_999_999, regionnode.LinkRetrying)},
		}, `"State":"RETRYING","Watermark":5.999,"LagMilliseconds":7000.0,"PendingRecords":4,"InFlightBatches":2,"InFlightBytes":20,"RejectedRecords":2`},
		"one has no link": {table.Active, []partitionLinks{
			{id: 1, links: link(7000*ms, regionnode.LinkStreaming)}, {id: 2},
		}, `"State":"UNKNOWN","WatermarkUnknownReason":"partition 2: it has no link yet"`},
		"one is not level": {table.Active, []partitionLinks{
			{id: 1, links: link(0, regionnode.LinkStreaming)}, {id: 2, links: link(7000*ms, regionnode.LinkPaused)},
		}, `"State":"PAUSED","WatermarkUnknownReason":"partition 1: its link has not been level yet"`},
		"one is halted": {table.Active, []partitionLinks{
			{id: 1, links: link(0, regionnode.LinkHalted)}, {id: 2},
		}, `"State":"HALTED","WatermarkUnknownReason":"partition 1: its link is halted"`},
		"one does not answer": {table.Active, []partitionLinks{
			{id: 1, links: link(7000*ms, regionnode.LinkStreaming)}, {id: 2, unknown: "no leader answers for it"},
		}, `"State":"UNKNOWN","WatermarkUnknownReason":"partition 2: no leader answers for it"`},
		"not filled": {table.Creating, []partitionLinks{
			{id: 1, links: link(7000*ms, regionnode.LinkStreaming)},
		}, `"State":"STREAMING","WatermarkUnknownReason":"the replica's status is CREATING"`},
		"no map": {table.Active, nil, `"State":"UNKNOWN","WatermarkUnknownReason":"the table's partitions keep changing"`},
	} {
		p := sumUp(&table.Replica{Region: "eu-west-1", Status: c.status}, c.answers)
		w := wire.NewWriter()
		p.write(w, true)
		got := string(w.Bytes())
		w.Free()
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nlacks %s", name, got, c.want)
		}
		if n := strings.Count(got, `"PartitionId"`); n != len(c.answers) {
			t.Errorf("%s: %d partitions in %s", name, n, got)
		}
	}
}
