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
	writeTable(c.out, d)
	c.out.EndObject()
}

// newTable checks the request, in DynamoDB's order, and makes the descriptor.
func (c *call) newTable(in *wire.CreateTableInput) (*table.Descriptor, error) {
	d := &table.Descriptor{
		Name:        tableName(in.TableName.Value),
		Region:      c.region,
		Account:     c.account,
		BillingMode: in.BillingMode.Or(provisioned),
		Class:       in.TableClass.Value,
		Protected:   in.DeletionProtectionEnabled.Value,
		OnDemand:    onDemand(in.OnDemandThroughput),
		Warm:        warmThroughput(in.WarmThroughput),
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
	var err error
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

// keysAndIndexes checks and fills in the key schema, the attributes and the
// indexes.
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
		x, err := globalIndex(&globalSpec{g.IndexName.Value, g.KeySchema, g.Projection, g.ProvisionedThroughput,
			g.OnDemandThroughput, g.WarmThroughput}, d.Attributes, d.BillingMode)
		if err != nil {
			return err
		}
		d.Globals = append(d.Globals, x)
	}
	if err := checkIndexes(d); err != nil {
		return err
	}
	return checkAllUsed(d)
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
