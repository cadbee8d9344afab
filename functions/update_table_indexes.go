package functions

import (
	"slices"
	"strings"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// changeIndexes creates, changes and deletes global indexes. Only one may be
// created or deleted at a time.
func (c *call) changeIndexes(d *table.Descriptor, in *wire.UpdateTableInput) error {
	defined := attributes(in.AttributeDefinitions)
	for _, a := range defined {
		// Defining an attribute again changes nothing.
		if d.AttributeType(a.Name) == "" {
			d.Attributes = append(d.Attributes, a)
		}
	}
	for i := range in.GlobalSecondaryIndexUpdates {
		u := &in.GlobalSecondaryIndexUpdates[i]
		var err error
		switch {
		case u.Create != nil:
			err = createIndex(d, u.Create, defined)
		case u.Delete != nil:
			err = deleteIndex(d, u.Delete.IndexName.Value)
		default:
			err = c.updateIndex(d, u.Update)
		}
		if err != nil {
			return err
		}
	}
	if len(d.Globals) > table.MaxGlobalIndexes {
		return apierr.Newf(apierr.LimitExceeded,
			"Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of %d", table.MaxGlobalIndexes)
	}
	if err := checkIndexes(d); err != nil {
		return err
	}
	dropUnused(d)
	return nil
}

// checkIndexUpdates refuses changes of indexes that are none, or two of one
// index.
func checkIndexUpdates(updates []wire.GlobalSecondaryIndexUpdate) error {
	const of = "GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete"
	names := map[string]bool{}
	for i := range updates {
		var given []string
		u := &updates[i]
		if u.Update != nil {
			given = append(given, u.Update.IndexName.Value)
		}
		if u.Create != nil {
			given = append(given, u.Create.IndexName.Value)
		}
		if u.Delete != nil {
			given = append(given, u.Delete.IndexName.Value)
		}
		switch {
		case len(given) == 0:
			return apierr.Invalid("One or more parameter values were invalid: One of %s must not be null", of)
		case len(given) > 1:
			return apierr.Invalid("One or more parameter values were invalid: Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")
		case names[given[0]]:
			return apierr.Invalid("One or more parameter values were invalid: "+
				"Only one global secondary index update per index is allowed simultaneously. Index: %s", given[0])
		}
		if u.Update != nil && u.Update.WarmThroughput != nil && emptyWarm(u.Update.WarmThroughput) {
			return apierr.Invalid("One or more parameter values were invalid: WarmThroughput must have at least one of "+
				"ReadUnitsPerSecond or WriteUnitsPerSecond specified for index: %s", given[0])
		}
		names[given[0]] = true
	}
	return nil
}

// refuseManyOnline refuses to create or delete more than one index at a time.
func refuseManyOnline(updates []wire.GlobalSecondaryIndexUpdate) error {
	online := 0
	for i := range updates {
		if updates[i].Update == nil {
			online++
		}
	}
	if online > 1 {
		return apierr.New(apierr.LimitExceeded,
			"Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	}
	return nil
}

// refuseRedefined refuses an index whose key attribute keys something else with
// another type.
func refuseRedefined(d *table.Descriptor, x *table.Index, defined []table.Attribute) error {
	for _, name := range x.Key.Names() {
		kind := d.AttributeType(name)
		i := slices.IndexFunc(defined, func(a table.Attribute) bool { return a.Name == name })
		if kind == "" || i < 0 || defined[i].Type == kind {
			continue
		}
		typeOf := func(name string) string {
			if i := slices.IndexFunc(defined, func(a table.Attribute) bool { return a.Name == name }); i >= 0 {
				return defined[i].Type
			}
			return d.AttributeType(name)
		}
		return apierr.Invalid("One or more parameter values were invalid: Attributes cannot be redefined. "+
			"Please check that your attribute has the same type as previously defined. Existing schema: %s New schema: %s",
			schemaText(keyWith(d, name), d.AttributeType), schemaText(x.Key, typeOf))
	}
	return nil
}

// keyWith is the key that has the attribute already: the table's, or an index's.
func keyWith(d *table.Descriptor, name string) table.KeySchema {
	if !d.Key.Has(name) {
		for _, list := range [2][]table.Index{d.Locals, d.Globals} {
			for i := range list {
				if list[i].Key.Has(name) {
					return list[i].Key
				}
			}
		}
	}
	return d.Key
}

// schemaText is a key schema as AWS prints it.
func schemaText(k table.KeySchema, typeOf func(string) string) string {
	var elements []string
	for n, names := range [2][]string{k.Hash, k.Range} {
		for _, name := range names {
			elements = append(elements, "SchemaElement: key{"+name+":"+typeOf(name)+":"+[2]string{"HASH", "RANGE"}[n]+"}")
		}
	}
	return "Schema:[" + strings.Join(elements, ", ") + "]"
}

// createIndex adds an index, whose key attributes the same request must define,
// the table's own too.
func createIndex(d *table.Descriptor, in *wire.CreateGlobalSecondaryIndexAction, defined []table.Attribute) error {
	name := in.IndexName.Value
	if d.Index(name) != nil {
		return apierr.Invalid("Attempting to create an index which already exists")
	}
	if len(defined) == 0 {
		return apierr.Invalid("One or more parameter values were invalid: AttributeDefinitions is not specified for index: %s", name)
	}
	x := table.Index{Name: name, Status: table.Creating, Backfilling: true}
	var err error
	if x.Key, err = keySchema(in.KeySchema, defined, table.MaxKeyParts); err != nil {
		return err
	}
	if err := globalIndex(d, &x, &globalSpec{in.Projection, in.ProvisionedThroughput, in.OnDemandThroughput, in.WarmThroughput, true}); err != nil {
		return err
	}
	if err := refuseRedefined(d, &x, defined); err != nil {
		return err
	}
	d.Globals = append(d.Globals, x)
	return nil
}

// deleteIndex leaves an index out: the catalog keeps it, DELETING, until it is
// gone.
func deleteIndex(d *table.Descriptor, name string) error {
	x, err := globalOf(d, name, "delete")
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
	x, err := globalOf(d, in.IndexName.Value, "update")
	if err != nil {
		return err
	}
	k := &throughputSetting{region: d.Region, billing: d.BillingMode, index: x.Name, units: x.Throughput}
	if x.OnDemand, err = k.onDemand(in.OnDemandThroughput, x.OnDemand); err != nil {
		return err
	}
	if x.Warm, err = k.warm(in.WarmThroughput, x.Warm); err != nil {
		return err
	}
	nothing := (in.OnDemandThroughput == nil || emptyDemand(in.OnDemandThroughput)) && in.WarmThroughput == nil
	if in.ProvisionedThroughput == nil && (d.BillingMode != payPerRequest || !nothing) {
		return nil
	}
	if d.BillingMode == payPerRequest {
		return apierr.Invalid("One or more parameter values were invalid: The only Updates for index: %s when "+
			"TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput", x.Name)
	}
	t, err := throughput(in.ProvisionedThroughput)
	if err != nil {
		return err
	}
	if t.Read == x.Throughput.Read && t.Write == x.Throughput.Write {
		return apierr.Invalid("The provisioned throughput for the index %s will not change. The requested value equals the "+
			"current value. Current ReadCapacityUnits provisioned for index %[1]s: %[2]d. Requested ReadCapacityUnits: %[3]d. "+
			"Current WriteCapacityUnits provisioned for index %[1]s: %[4]d. Requested WriteCapacityUnits: %[5]d. "+
			"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
			x.Name, x.Throughput.Read, t.Read, x.Throughput.Write, t.Write)
	}
	if err := k.checkUnits(t); err != nil {
		return err
	}
	x.Warm = k.raised(x.Warm)
	if err := c.changeThroughput(&x.Throughput, t); err != nil {
		return err
	}
	k.units = x.Throughput
	x.Warm = k.raised(x.Warm)
	return nil
}

// globalOf finds a global index that is to be updated or deleted.
func globalOf(d *table.Descriptor, name, verb string) (*table.Index, error) {
	for i := range d.Globals {
		if d.Globals[i].Name == name {
			return &d.Globals[i], nil
		}
	}
	if d.Index(name) != nil {
		return nil, apierr.Invalid("Cannot %s an index that is not a GlobalSecondaryIndex: %s", verb, name)
	}
	return nil, apierr.Newf(apierr.ResourceNotFound, "Requested resource not found: Index %s for table %s", name, d.Name)
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
