package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/table"
)

// answerUpdate answers an UpdateTable as AWS does, which tells what was, for most
// of what it has just begun to change (DDB-TABLE-060, 064, 066, 182, 284, 371).
func (c *call) answerUpdate(old, made *table.Descriptor, in *wire.UpdateTableInput) {
	d := made.Clone()
	if in.BillingMode.Set && old.BillingMode != payPerRequest && d.BillingMode == payPerRequest {
		d.BillingChanged = old.BillingChanged
	}
	if in.ProvisionedThroughput != nil && old.BillingMode == provisioned {
		d.Throughput = before(&old.Throughput, &d.Throughput)
	}
	d.Class, d.ClassChanged = old.Class, old.ClassChanged
	if in.OnDemandThroughput != nil {
		d.OnDemand = cleared(d.OnDemand, in.OnDemandThroughput)
	}
	d.Warm = warmBefore(old.Warm, d.Warm, in.WarmThroughput)
	for i := range in.GlobalSecondaryIndexUpdates {
		answerIndex(old, d, in.GlobalSecondaryIndexUpdates[i].Update)
	}
	sse := "ENABLED"
	if in.SSESpecification != nil {
		sse = "UPDATING"
		if old.Encryption != nil {
			d.Encryption = old.Encryption
		}
	}
	c.out.BeginObject().Name("TableDescription")
	writeTableAs(c.out, c.today(d), sse)
	c.out.EndObject()
}

// answerIndex shows an index that is being updated.
func answerIndex(old, d *table.Descriptor, in *wire.UpdateGlobalSecondaryIndexAction) {
	if in == nil {
		return
	}
	held, x := old.Index(in.IndexName.Value), d.Index(in.IndexName.Value)
	if held == nil || x == nil {
		return
	}
	if in.ProvisionedThroughput != nil {
		x.Throughput = before(&held.Throughput, &x.Throughput)
	}
	if in.OnDemandThroughput != nil {
		x.OnDemand = cleared(x.OnDemand, in.OnDemandThroughput)
	}
	x.Warm = warmBefore(held.Warm, x.Warm, in.WarmThroughput)
	if x.Status == table.Active {
		x.Status = table.Updating
	}
}

// before is what was provisioned, with the times of the change.
func before(old, t *table.Throughput) table.Throughput {
	out := *t
	out.Read, out.Write, out.DecreasesToday = old.Read, old.Write, old.DecreasesToday
	return out
}

// cleared shows the bounds that a request has just taken away.
func cleared(o *table.OnDemand, in *wire.OnDemandThroughput) *table.OnDemand {
	out := table.OnDemand{MaxRead: unlimited, MaxWrite: unlimited}
	if o != nil {
		out = *o
	}
	if in.MaxReadRequestUnits.Value == unlimited {
		out.MaxRead = clearedNow
	}
	if in.MaxWriteRequestUnits.Value == unlimited {
		out.MaxWrite = clearedNow
	}
	return &out
}

// warmBefore is the warm throughput that was, being updated when the request
// names it.
func warmBefore(old, made *table.WarmThroughput, in *wire.WarmThroughput) *table.WarmThroughput {
	if in == nil {
		return made
	}
	out := table.WarmThroughput{Status: table.Updating}
	if old != nil {
		out.Read, out.Write = old.Read, old.Write
	}
	return &out
}
