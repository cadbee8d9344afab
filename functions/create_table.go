package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

func createTable(c *call, in *wire.CreateTableInput) error {
	d, err := c.newTable(in)
	if err != nil {
		return err
	}
	made, err := c.backend.CreateTable(c.ctx, &regionnode.CreateTableRequest{Descriptor: *d, Partitions: c.cfg.Partitions})
	if err != nil {
		return err
	}
	c.answerTable("TableDescription", made)
	return nil
}

// answerTable writes an answer that is a table's description.
func (c *call) answerTable(member string, d *table.Descriptor) {
	c.out.BeginObject().Name(member)
	writeTable(c.out, c.today(d))
	c.out.EndObject()
}

// today is d with the decreases of capacity of the current UTC day, which begins
// anew at midnight (DDB-TABLE-185).
func (c *call) today(d *table.Descriptor) *table.Descriptor {
	const day = 24 * 60 * 60 * 1000
	past := func(t *table.Throughput) bool {
		return t.DecreasesToday != 0 && t.LastDecrease/day != c.now.UnixMilli()/day
	}
	stale := past(&d.Throughput)
	for i := range d.Globals {
		stale = stale || past(&d.Globals[i].Throughput)
	}
	if !stale {
		return d
	}
	d = d.Clone()
	if past(&d.Throughput) {
		d.Throughput.DecreasesToday = 0
	}
	for i := range d.Globals {
		if past(&d.Globals[i].Throughput) {
			d.Globals[i].Throughput.DecreasesToday = 0
		}
	}
	return d
}

// newTable checks the request, in DynamoDB's order, and makes the descriptor.
func (c *call) newTable(in *wire.CreateTableInput) (*table.Descriptor, error) {
	name, err := c.tableName(in.TableName.Value)
	if err != nil {
		return nil, err
	}
	d := &table.Descriptor{
		Name:        name,
		Region:      c.region,
		Account:     c.account,
		BillingMode: in.BillingMode.Or(provisioned),
		Class:       in.TableClass.Value,
		Protected:   in.DeletionProtectionEnabled.Value,
	}
	if in.ResourcePolicy.Set {
		policy, err := policyText(in.ResourcePolicy.Value)
		if err != nil {
			return nil, err
		}
		d.Policy, d.PolicyRevision = policy, c.now.UnixMilli()
	}
	if err := checkBilling(d.BillingMode, in.ProvisionedThroughput); err != nil {
		return nil, err
	}
	if d.Throughput, err = throughput(in.ProvisionedThroughput); err != nil {
		return nil, err
	}
	if d.BillingMode == payPerRequest {
		d.BillingChanged = c.now.UnixMilli()
	}
	if err := keysAndIndexes(d, in); err != nil {
		return nil, err
	}
	if in.GlobalTableSourceArn.Set || in.GlobalTableSettingsReplicationMode.Set {
		return nil, apierr.Invalid("One or more parameter values were invalid: Global tables of several accounts are not supported")
	}
	if err := newCapacity(d, in); err != nil {
		return nil, err
	}
	if in.VectorIndexes != nil {
		return nil, apierr.Invalid("One or more parameter values were invalid: VectorIndexes are not supported")
	}
	if in.StreamSpecification != nil {
		if d.Stream, err = newStream(in.StreamSpecification, c.now, true); err != nil {
			return nil, err
		}
	}
	if d.Encryption, err = encryption(in.SSESpecification, d); err != nil {
		return nil, err
	}
	d.Tags, err = tagList(in.Tags)
	return d, err
}

// newCapacity checks and fills in the table's capacity settings.
func newCapacity(d *table.Descriptor, in *wire.CreateTableInput) (err error) {
	k := &throughputSetting{region: d.Region, billing: d.BillingMode, made: true, units: d.Throughput}
	if err := k.checkUnits(d.Throughput); err != nil {
		return err
	}
	if d.OnDemand, err = k.onDemand(in.OnDemandThroughput, nil); err != nil {
		return err
	}
	d.Warm, err = k.warm(in.WarmThroughput, nil)
	return err
}

// keysAndIndexes checks and fills in the key schema, the attributes and the
// indexes. Keys come first, those of all indexes, then whether all attributes are
// used (DDB-TABLE-127).
func keysAndIndexes(d *table.Descriptor, in *wire.CreateTableInput) (err error) {
	d.Attributes = attributes(in.AttributeDefinitions)
	if err := refuseRepeated(d.Attributes); err != nil {
		return err
	}
	if in.AttributeDefinitions != nil && len(in.KeySchema) > len(d.Attributes) {
		return apierr.Invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	if d.Key, err = keySchema(in.KeySchema, d.Attributes, 1); err != nil {
		return err
	}
	if in.LocalSecondaryIndexes == nil && in.GlobalSecondaryIndexes == nil {
		return checkAllUsed(d)
	}
	if err := localIndexes(d, in.LocalSecondaryIndexes); err != nil {
		return err
	}
	if in.GlobalSecondaryIndexes != nil && len(in.GlobalSecondaryIndexes) == 0 {
		return apierr.Invalid("One or more parameter values were invalid: List of GlobalSecondaryIndexes is empty")
	}
	for i := range in.GlobalSecondaryIndexes {
		g := &in.GlobalSecondaryIndexes[i]
		x := table.Index{Name: g.IndexName.Value, Status: table.Creating}
		if x.Key, err = keySchema(g.KeySchema, d.Attributes, table.MaxKeyParts); err != nil {
			return err
		}
		d.Globals = append(d.Globals, x)
	}
	if err := checkAllUsed(d); err != nil {
		return err
	}
	for i := range in.LocalSecondaryIndexes {
		if d.Locals[i].Projection, err = indexProjection(in.LocalSecondaryIndexes[i].Projection); err != nil {
			return err
		}
	}
	for i := range in.GlobalSecondaryIndexes {
		g := &in.GlobalSecondaryIndexes[i]
		if err := globalIndex(d, &d.Globals[i], &globalSpec{g.Projection, g.ProvisionedThroughput, g.OnDemandThroughput, g.WarmThroughput, false}); err != nil {
			return err
		}
	}
	return checkIndexes(d)
}

func localIndexes(d *table.Descriptor, in []wire.LocalSecondaryIndex) error {
	if in == nil {
		return nil
	}
	if len(in) == 0 {
		return apierr.Invalid("One or more parameter values were invalid: List of LocalSecondaryIndexes is empty")
	}
	if len(d.Key.Range) == 0 {
		return apierr.Invalid("One or more parameter values were invalid: Table KeySchema does not have a range key, " +
			"which is required when specifying a LocalSecondaryIndex")
	}
	for i := range in {
		x, err := localIndex(&in[i], d.Attributes, d.Key)
		if err != nil {
			return err
		}
		x.Local = table.IndexID(i + 1)
		d.Locals = append(d.Locals, x)
	}
	return nil
}
