package functions

import (
	"slices"
	"strings"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// maxUnits bounds provisioned capacity units.
const maxUnits = 1_000_000_000_000

// attributes turns AttributeDefinitions into the descriptor's form.
func attributes(defs []wire.AttributeDefinition) []table.Attribute {
	out := make([]table.Attribute, len(defs))
	for i := range defs {
		out[i] = table.Attribute{Name: defs[i].AttributeName.Value, Type: defs[i].AttributeType.Value}
	}
	return out
}

// refuseRepeated refuses to define an attribute twice.
func refuseRepeated(attrs []table.Attribute) error {
	for i := range attrs {
		if defines(attrs[:i], attrs[i].Name) {
			return apierr.Invalid("Attribute Name is duplicated: %s", attrs[i].Name)
		}
	}
	return nil
}

// keySchema turns a KeySchema into the descriptor's form and refuses one that
// is not defined, repeats itself or is out of order. parts bounds the hash, and
// the range, attributes: one each but in a global index.
func keySchema(elements []wire.KeySchemaElement, attrs []table.Attribute, parts int) (k table.KeySchema, err error) {
	names := make([]string, len(elements))
	for i := range elements {
		names[i] = elements[i].AttributeName.Value
	}
	for _, name := range names {
		if !defines(attrs, name) {
			return k, apierr.Invalid("One or more parameter values were invalid: Some index key attributes are not defined "+
				"in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
				strings.Join(names, ", "), joinAttributes(attrs))
		}
	}
	for i, e := range elements {
		hash := e.KeyType.Value == "HASH"
		switch {
		case slices.Contains(names[:i], names[i]) && len(elements) > 2:
			return k, apierr.Invalid("The KeySchema contains multiple key attributes with the same name")
		case slices.Contains(names[:i], names[i]):
			return k, apierr.Invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
		case i == 0 && e.KeyType.Value != "HASH":
			return k, apierr.Invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
		case hash && parts == 1 && i > 0:
			return k, apierr.Invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
		case hash && len(k.Range) > 0:
			return k, apierr.Invalid("One or more parameter values were invalid: All HASH key attributes must precede RANGE key attributes in the KeySchema")
		case hash && len(k.Hash) == parts, !hash && len(k.Range) == parts:
			return k, apierr.Invalid("One or more parameter values were invalid: "+
				"The KeySchema exceeds the maximum allowed number of %s key attributes", e.KeyType.Value)
		case hash:
			k.Hash = append(k.Hash, names[i])
		default:
			k.Range = append(k.Range, names[i])
		}
	}
	return k, nil
}

func defines(attrs []table.Attribute, name string) bool {
	return slices.ContainsFunc(attrs, func(a table.Attribute) bool { return a.Name == name })
}

func joinAttributes(attrs []table.Attribute) string {
	names := make([]string, len(attrs))
	for i := range attrs {
		names[i] = attrs[i].Name
	}
	return strings.Join(names, ", ")
}

// checkAllUsed refuses an attribute definition that keys nothing.
func checkAllUsed(d *table.Descriptor) error {
	used := slices.Clone(d.Key.Names())
	for _, list := range [2][]table.Index{d.Locals, d.Globals} {
		for i := range list {
			used = append(used, list[i].Key.Names()...)
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	if len(used) == len(d.Attributes) {
		return nil
	}
	if len(d.Locals)+len(d.Globals) == 0 {
		return apierr.Invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly " +
			"match number of attributes defined in AttributeDefinitions")
	}
	return apierr.Invalid("One or more parameter values were invalid: Some AttributeDefinitions are not used. "+
		"AttributeDefinitions: [%s], keys used: [%s]", joinAttributes(d.Attributes), strings.Join(used, ", "))
}

// indexProjection turns a Projection into the descriptor's form.
func indexProjection(p *wire.Projection) (table.Projection, error) {
	if p == nil || !p.ProjectionType.Set {
		return table.Projection{}, apierr.Invalid("One or more parameter values were invalid: Unknown ProjectionType: null")
	}
	out := table.Projection{Type: p.ProjectionType.Value, NonKey: p.NonKeyAttributes}
	switch {
	case out.Type == "INCLUDE" && out.NonKey == nil:
		return out, apierr.Invalid("One or more parameter values were invalid: " +
			"ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	case out.Type != "INCLUDE" && out.NonKey != nil:
		return out, apierr.Invalid("One or more parameter values were invalid: "+
			"ProjectionType is %s, but NonKeyAttributes is specified", out.Type)
	}
	for i, name := range out.NonKey {
		if slices.Contains(out.NonKey[:i], name) {
			return out, apierr.Invalid("One or more parameter values were invalid: Duplicate element in NonKeyAttributes: %s", name)
		}
	}
	return out, nil
}

// localIndex checks the key of one local index against its table.
func localIndex(in *wire.LocalSecondaryIndex, attrs []table.Attribute, key table.KeySchema) (x table.Index, err error) {
	x.Name = in.IndexName.Value
	if x.Key, err = keySchema(in.KeySchema, attrs, 1); err != nil {
		return x, err
	}
	if len(x.Key.Range) == 0 {
		return x, apierr.Invalid("One or more parameter values were invalid: "+
			"Index KeySchema does not have a range key for index: %s", x.Name)
	}
	if x.Key.Hash[0] != key.Hash[0] {
		return x, apierr.Invalid("One or more parameter values were invalid: Index KeySchema does not have the same leading "+
			"hash key as table KeySchema for index: %s. index hash key: %s, table hash key: %s", x.Name, x.Key.Hash[0], key.Hash[0])
	}
	return x, nil
}

// globalSpec is what CreateTable and UpdateTable say of a new global index,
// besides its name and key. added tells UpdateTable.
type globalSpec struct {
	projection *wire.Projection
	throughput *wire.ProvisionedThroughput
	onDemand   *wire.OnDemandThroughput
	warm       *wire.WarmThroughput
	added      bool
}

// globalIndex checks one new global index of a table and fills in what its key
// does not say.
func globalIndex(d *table.Descriptor, x *table.Index, in *globalSpec) (err error) {
	if x.Projection, err = indexProjection(in.projection); err != nil {
		return err
	}
	if err := checkIndexUnits(x.Name, d.BillingMode, in); err != nil {
		return err
	}
	if x.Throughput, err = throughput(in.throughput); err != nil {
		return err
	}
	k := &throughputSetting{region: d.Region, billing: d.BillingMode, index: x.Name, made: true, units: x.Throughput}
	if err := k.checkUnits(x.Throughput); err != nil {
		return err
	}
	if x.OnDemand, err = k.onDemand(in.onDemand, nil); err != nil {
		return err
	}
	x.Warm, err = k.warm(in.warm, nil)
	return err
}

// checkIndexUnits holds a new index's provisioned capacity against the billing
// mode. CreateTable and UpdateTable word it differently.
func checkIndexUnits(name, billing string, in *globalSpec) error {
	why := ""
	switch {
	case billing == payPerRequest && in.throughput != nil && in.added:
		why = "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: %s when BillingMode is PAY_PER_REQUEST"
	case billing == payPerRequest && in.throughput != nil:
		why = "ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST"
	case billing != payPerRequest && in.throughput == nil && in.added:
		why = "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: %s"
	case billing != payPerRequest && in.throughput == nil:
		why = "ProvisionedThroughput is not specified for index: %s"
	default:
		return nil
	}
	return apierr.Invalid("One or more parameter values were invalid: "+why, name)
}

// checkIndexes refuses what is wrong with the indexes of a table together.
func checkIndexes(d *table.Descriptor) error {
	if len(d.Locals) > table.MaxLocalIndexes {
		return apierr.Invalid("One or more parameter values were invalid: "+
			"Number of LocalSecondaryIndexes exceeds per-table limit of %d", table.MaxLocalIndexes)
	}
	if len(d.Globals) > table.MaxGlobalIndexes {
		return apierr.Invalid("One or more parameter values were invalid: "+
			"GlobalSecondaryIndex count exceeds the per-table limit of %d", table.MaxGlobalIndexes)
	}
	seen, included := map[string]bool{}, 0
	for _, list := range [2][]table.Index{d.Locals, d.Globals} {
		for i := range list {
			if seen[list[i].Name] {
				return apierr.Invalid("One or more parameter values were invalid: Duplicate index name: %s", list[i].Name)
			}
			seen[list[i].Name] = true
			included += len(list[i].Projection.NonKey)
		}
	}
	if included > table.MaxProjected {
		return apierr.Invalid("One or more parameter values were invalid: "+
			"The total number of non-key attributes in all projections exceeds the per-table limit of %d", table.MaxProjected)
	}
	return nil
}
