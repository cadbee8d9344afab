package functions

import (
	"slices"
	"strings"
	"time"

	"antipode/functions/wire"
	"antipode/regionnode/table"
)

// The capacity that AWS gives a table or index before anyone warms it.
const (
	onDemandWarmRead  = 12000
	onDemandWarmWrite = 4000
)

const payPerRequest = "PAY_PER_REQUEST"

// writeTable writes a TableDescription, members in the order of the API model.
func writeTable(w *wire.Writer, d *table.Descriptor) { writeTableAs(w, d, "ENABLED") }

// writeTableAs is writeTable with another Status of the SSEDescription.
func writeTableAs(w *wire.Writer, d *table.Descriptor, sse string) {
	d = d.Effective()
	w.BeginObject()
	w.Name("AttributeDefinitions").BeginArray()
	for _, a := range sortedAttributes(d.Attributes) {
		w.BeginObject().Name("AttributeName").String(a.Name).Name("AttributeType").String(a.Type).EndObject()
	}
	w.EndArray()
	w.Name("TableName").String(d.Name)
	writeKeySchema(w, d.Key)
	w.Name("TableStatus").String(string(d.Status))
	w.Name("CreationDateTime").Time(time.UnixMilli(d.Created))
	writeThroughput(w, &d.Throughput)
	w.Name("TableSizeBytes").Int(d.Bytes)
	w.Name("ItemCount").Int(d.Items)
	w.Name("TableArn").String(d.ARN())
	w.Name("TableId").String(d.UUID)
	writeBilling(w, d)
	writeLocals(w, d)
	writeGlobals(w, d)
	writeStream(w, d)
	writeReplicas(w, d)
	writeEncryption(w, d.Encryption, sse)
	if d.Class != "" {
		w.Name("TableClassSummary").BeginObject().Name("TableClass").String(d.Class)
		if d.ClassChanged != 0 {
			w.Name("LastUpdateDateTime").Time(time.UnixMilli(d.ClassChanged))
		}
		w.EndObject()
	}
	w.Name("DeletionProtectionEnabled").Bool(d.Protected)
	writeOnDemand(w, d.OnDemand)
	if d.Status != table.Creating || d.Warm != nil {
		writeWarm(w, d.Warm, d.Throughput, d.BillingMode, d.Status)
	}
	w.EndObject()
}

// writeDeleted writes what AWS still tells of a table that it deletes.
func writeDeleted(w *wire.Writer, d *table.Descriptor) {
	w.BeginObject()
	w.Name("TableName").String(d.Name)
	w.Name("TableStatus").String(string(d.Status))
	writeThroughput(w, &d.Throughput)
	w.Name("TableSizeBytes").Int(d.Bytes)
	w.Name("ItemCount").Int(d.Items)
	w.Name("TableArn").String(d.ARN())
	w.Name("TableId").String(d.UUID)
	writeBilling(w, d)
	writeStream(w, d)
	w.Name("DeletionProtectionEnabled").Bool(d.Protected)
	w.EndObject()
}

func writeKeySchema(w *wire.Writer, k table.KeySchema) {
	w.Name("KeySchema").BeginArray()
	for _, name := range k.Hash {
		w.BeginObject().Name("AttributeName").String(name).Name("KeyType").String("HASH").EndObject()
	}
	for _, name := range k.Range {
		w.BeginObject().Name("AttributeName").String(name).Name("KeyType").String("RANGE").EndObject()
	}
	w.EndArray()
}

func writeThroughput(w *wire.Writer, t *table.Throughput) {
	w.Name("ProvisionedThroughput").BeginObject()
	if t.LastIncrease != 0 {
		w.Name("LastIncreaseDateTime").Time(time.UnixMilli(t.LastIncrease))
	}
	if t.LastDecrease != 0 {
		w.Name("LastDecreaseDateTime").Time(time.UnixMilli(t.LastDecrease))
	}
	w.Name("NumberOfDecreasesToday").Int(t.DecreasesToday)
	w.Name("ReadCapacityUnits").Int(t.Read)
	w.Name("WriteCapacityUnits").Int(t.Write)
	w.EndObject()
}

// writeBilling writes the summary that a table has once it is, or has been, on
// demand.
func writeBilling(w *wire.Writer, d *table.Descriptor) {
	if d.BillingMode != payPerRequest && d.BillingChanged == 0 {
		return
	}
	w.Name("BillingModeSummary").BeginObject().Name("BillingMode").String(d.BillingMode)
	if d.BillingChanged != 0 && d.Status != table.Creating {
		w.Name("LastUpdateToPayPerRequestDateTime").Time(time.UnixMilli(d.BillingChanged))
	}
	w.EndObject()
}

// sortedAttributes are definitions by name, as AWS lists them (DDB-TABLE-125).
func sortedAttributes(list []table.Attribute) []table.Attribute {
	return slices.SortedFunc(slices.Values(list), func(a, b table.Attribute) int { return strings.Compare(a.Name, b.Name) })
}

func writeProjection(w *wire.Writer, p table.Projection) {
	w.Name("Projection").BeginObject().Name("ProjectionType").String(p.Type)
	if len(p.NonKey) > 0 {
		w.Name("NonKeyAttributes").BeginArray()
		for _, name := range slices.Sorted(slices.Values(p.NonKey)) {
			w.String(name)
		}
		w.EndArray()
	}
	w.EndObject()
}

func writeLocals(w *wire.Writer, d *table.Descriptor) {
	if len(d.Locals) == 0 {
		return
	}
	w.Name("LocalSecondaryIndexes").BeginArray()
	for i := range d.Locals {
		x := &d.Locals[i]
		w.BeginObject().Name("IndexName").String(x.Name)
		writeKeySchema(w, x.Key)
		writeProjection(w, x.Projection)
		writeIndexCounts(w, d, x)
		w.EndObject()
	}
	w.EndArray()
}

func writeGlobals(w *wire.Writer, d *table.Descriptor) {
	if len(d.Globals) == 0 {
		return
	}
	w.Name("GlobalSecondaryIndexes").BeginArray()
	for i := range d.Globals {
		x := &d.Globals[i]
		w.BeginObject().Name("IndexName").String(x.Name)
		writeKeySchema(w, x.Key)
		writeProjection(w, x.Projection)
		w.Name("IndexStatus").String(string(x.Status))
		if x.Backfilling || (x.Status == table.Creating && d.Status != table.Creating) {
			w.Name("Backfilling").Bool(x.Backfilling)
		}
		writeThroughput(w, &x.Throughput)
		writeIndexCounts(w, d, x)
		writeOnDemand(w, x.OnDemand)
		if d.Status != table.Creating || x.Warm != nil {
			writeWarm(w, x.Warm, x.Throughput, d.BillingMode, x.Status)
		}
		w.EndObject()
	}
	w.EndArray()
}

func writeIndexCounts(w *wire.Writer, d *table.Descriptor, x *table.Index) {
	w.Name("IndexSizeBytes").Int(x.Bytes)
	w.Name("ItemCount").Int(x.Items)
	w.Name("IndexArn").String(d.IndexARN(x.Name))
}

func writeStream(w *wire.Writer, d *table.Descriptor) {
	s := d.Stream
	if s == nil {
		return
	}
	if s.Enabled {
		writeStreamSpecification(w, s)
	}
	w.Name("LatestStreamLabel").String(s.Label)
	w.Name("LatestStreamArn").String(d.StreamARN())
}

func writeStreamSpecification(w *wire.Writer, s *table.Stream) {
	w.Name("StreamSpecification").BeginObject()
	w.Name("StreamEnabled").Bool(s.Enabled)
	w.Name("StreamViewType").String(s.View)
	w.EndObject()
}

// writeReplicas writes the table replicas in the other regions: the region that
// is asked does not list itself.
func writeReplicas(w *wire.Writer, d *table.Descriptor) {
	g := d.Global
	if g == nil {
		return
	}
	w.Name("GlobalTableVersion").String("2019.11.21")
	w.Name("Replicas").BeginArray()
	for i := range g.Replicas {
		if g.Replicas[i].Region != d.Region {
			writeReplica(w, d, &g.Replicas[i])
		}
	}
	w.EndArray()
	w.Name("MultiRegionConsistency").String("EVENTUAL")
}

func writeReplica(w *wire.Writer, d *table.Descriptor, r *table.Replica) {
	w.BeginObject()
	w.Name("RegionName").String(r.Region)
	w.Name("ReplicaStatus").String(string(r.Status))
	w.Name("ReplicaArn").String(table.ARN(r.Region, d.Account, d.Name))
	if r.StatusNote != "" {
		w.Name("ReplicaStatusDescription").String(r.StatusNote)
	}
	if r.KMSKey != "" {
		w.Name("KMSMasterKeyId").String(r.KMSKey)
	}
	writeReadOverride(w, r.ReadOverride, r.OnDemandRead)
	writeWarm(w, r.Warm, d.Throughput, d.BillingMode, r.Status)
	if len(r.Indexes) > 0 {
		w.Name("GlobalSecondaryIndexes").BeginArray()
		for i := range r.Indexes {
			x := &r.Indexes[i]
			w.BeginObject().Name("IndexName").String(x.Name)
			writeReadOverride(w, x.ReadOverride, x.OnDemandRead)
			w.EndObject()
		}
		w.EndArray()
	}
	if r.TableClass != "" {
		w.Name("ReplicaTableClassSummary").BeginObject().Name("TableClass").String(r.TableClass).EndObject()
	}
	w.EndObject()
}

func writeReadOverride(w *wire.Writer, provisioned, onDemand *int64) {
	if provisioned != nil {
		w.Name("ProvisionedThroughputOverride").BeginObject().Name("ReadCapacityUnits").Int(*provisioned).EndObject()
	}
	if onDemand != nil {
		w.Name("OnDemandThroughputOverride").BeginObject().Name("MaxReadRequestUnits").Int(*onDemand).EndObject()
	}
}

func writeEncryption(w *wire.Writer, e *table.Encryption, status string) {
	if e == nil || !e.Enabled {
		return
	}
	w.Name("SSEDescription").BeginObject().Name("Status").String(status)
	w.Name("SSEType").String(e.Type)
	if e.Key != "" {
		w.Name("KMSMasterKeyArn").String(e.Key)
	}
	w.EndObject()
}

// writeOnDemand writes the bounds that there are; see clearedNow.
func writeOnDemand(w *wire.Writer, o *table.OnDemand) {
	if o == nil || o.MaxRead == unlimited && o.MaxWrite == unlimited {
		return
	}
	w.Name("OnDemandThroughput").BeginObject()
	if o.MaxRead != unlimited {
		w.Name("MaxReadRequestUnits").Int(max(o.MaxRead, unlimited))
	}
	if o.MaxWrite != unlimited {
		w.Name("MaxWriteRequestUnits").Int(max(o.MaxWrite, unlimited))
	}
	w.EndObject()
}

// writeWarm writes warm throughput: what was asked for, or else what AWS gives
// every on-demand table, or what is provisioned. A table that is being made has
// only what was asked for, which is being set up.
func writeWarm(w *wire.Writer, warm *table.WarmThroughput, t table.Throughput, billing string, owner table.Status) {
	read, write, status := int64(onDemandWarmRead), int64(onDemandWarmWrite), table.Active
	if billing != payPerRequest {
		read, write = t.Read, t.Write
	}
	if warm != nil {
		read, write = max(read, warm.Read), max(write, warm.Write)
		if warm.Status != "" {
			status = warm.Status
		}
	}
	switch owner {
	case table.Creating:
		status = table.Updating
	case table.Deleting:
		status = owner
	}
	w.Name("WarmThroughput").BeginObject()
	w.Name("ReadUnitsPerSecond").Int(read)
	w.Name("WriteUnitsPerSecond").Int(write)
	w.Name("Status").String(string(status))
	w.EndObject()
}
