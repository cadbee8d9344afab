package functions

import (
	"slices"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// changeIndexes creates, changes and deletes global indexes. Only one may be
// created or deleted at a time.
func (c *call) changeIndexes(d *table.Descriptor, in *wire.UpdateTableInput) error {
	defined := attributes(in.AttributeDefinitions)
	for i := range defined {
		a := &defined[i]
		if kind := d.AttributeType(a.Name); kind != "" {
			a.Type = kind // defining it again changes nothing
			continue
		}
		d.Attributes = append(d.Attributes, *a)
	}
	online := 0
	for i := range in.GlobalSecondaryIndexUpdates {
		u := &in.GlobalSecondaryIndexUpdates[i]
		var err error
		switch {
		case u.Create != nil:
			online++
			err = createIndex(d, u.Create, defined)
		case u.Delete != nil:
			online++
			err = deleteIndex(d, u.Delete.IndexName.Value)
		case u.Update != nil:
			err = c.updateIndex(d, u.Update)
		default:
			err = apierr.Invalid("One or more parameter values were invalid: " +
				"One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, " +
				"GlobalSecondaryIndexUpdate.Delete must not be null")
		}
		if err != nil {
			return err
		}
	}
	if online > 1 {
		return apierr.New(apierr.LimitExceeded,
			"Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	}
	if err := checkIndexes(d); err != nil {
		return err
	}
	dropUnused(d)
	return nil
}

// createIndex adds an index, whose key attributes the same request must define,
// the table's own too.
func createIndex(d *table.Descriptor, in *wire.CreateGlobalSecondaryIndexAction, defined []table.Attribute) error {
	name := in.IndexName.Value
	if d.Index(name) != nil {
		return apierr.Invalid("Attempting to create an index which already exists: %s", name)
	}
	x, err := globalIndex(&globalSpec{name, in.KeySchema, in.Projection, in.ProvisionedThroughput,
		in.OnDemandThroughput, in.WarmThroughput}, defined, d.BillingMode)
	if err != nil {
		return err
	}
	x.Backfilling = true
	d.Globals = append(d.Globals, x)
	return nil
}

// deleteIndex leaves an index out: the catalog keeps it, DELETING, until it is
// gone.
func deleteIndex(d *table.Descriptor, name string) error {
	x, err := globalOf(d, name)
	if err != nil {
		return err
	}
	if x.Status == table.Deleting {
		return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: Index is being deleted: %s", name)
	}
	d.Globals = slices.DeleteFunc(d.Globals, func(x table.Index) bool { return x.Name == name })
	return nil
}

func (c *call) updateIndex(d *table.Descriptor, in *wire.UpdateGlobalSecondaryIndexAction) error {
	x, err := globalOf(d, in.IndexName.Value)
	if err != nil {
		return err
	}
	if in.OnDemandThroughput != nil {
		x.OnDemand = onDemand(in.OnDemandThroughput)
	}
	if in.WarmThroughput != nil {
		x.Warm = warmThroughput(in.WarmThroughput)
	}
	if in.ProvisionedThroughput == nil {
		return nil
	}
	if d.BillingMode == payPerRequest {
		return apierr.Invalid("One or more parameter values were invalid: "+
			"ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", x.Name)
	}
	t, err := throughput(in.ProvisionedThroughput)
	if err != nil {
		return err
	}
	if t.Read == x.Throughput.Read && t.Write == x.Throughput.Write {
		return apierr.Invalid("The provisioned throughput for the index %s will not change. The requested value equals the "+
			"current value. Current ReadCapacityUnits provisioned for the index: %d. Requested ReadCapacityUnits: %d. "+
			"Current WriteCapacityUnits provisioned for the index: %d. Requested WriteCapacityUnits: %d. "+
			"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
			x.Name, x.Throughput.Read, t.Read, x.Throughput.Write, t.Write)
	}
	c.setThroughput(&x.Throughput, t)
	return nil
}

func globalOf(d *table.Descriptor, name string) (*table.Index, error) {
	for i := range d.Globals {
		if d.Globals[i].Name == name {
			return &d.Globals[i], nil
		}
	}
	return nil, apierr.New(apierr.ResourceNotFound, "Requested resource not found")
}

// dropUnused forgets the definitions of attributes that key nothing any more.
func dropUnused(d *table.Descriptor) {
	d.Attributes = slices.DeleteFunc(d.Attributes, func(a table.Attribute) bool {
		if d.Key.Has(a.Name) {
			return false
		}
		for _, list := range [2][]table.Index{d.Locals, d.Globals} {
			for i := range list {
				if list[i].Key.Has(a.Name) {
					return false
				}
			}
		}
		return true
	})
}
