package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// putResourcePolicy keeps a table's policy. It is only kept: antipode decides by
// access keys alone.
func putResourcePolicy(c *call, in *wire.PutResourcePolicyInput) error {
	d, err := c.changePolicy(in.ResourceArn.Value, in.ExpectedRevisionId, func(d *table.Descriptor) {
		if d.Policy == in.Policy.Value {
			return
		}
		d.Policy = in.Policy.Value
		d.PolicyRevision = max(c.now.UnixMilli(), d.PolicyRevision+1)
	})
	if err != nil {
		return err
	}
	c.out.BeginObject().Name("RevisionId").String(revisionID(d.PolicyRevision)).EndObject()
	return nil
}

// changePolicy changes the policy of a table when it is the expected one.
func (c *call) changePolicy(arn string, expected wire.Opt[string], change func(*table.Descriptor)) (*table.Descriptor, error) {
	for race := 0; ; race++ {
		old, err := c.backend.DescribeTable(c.ctx, tableName(arn))
		if err != nil {
			return nil, err
		}
		if err := checkRevision(old, expected); err != nil {
			return nil, err
		}
		d := old.Clone()
		change(d)
		if d.Policy == old.Policy {
			return d, nil
		}
		d, err = c.backend.UpdateTable(c.ctx, &regionnode.UpdateTableRequest{Descriptor: *d})
		if err == nil || !apierr.Is(err, apierr.ResourceInUse) || race == maxTagRaces {
			return d, err
		}
	}
}

// noRevision is the ExpectedRevisionId of a table without a policy.
const noRevision = "NO_POLICY"

func checkRevision(d *table.Descriptor, expected wire.Opt[string]) error {
	current := noRevision
	if d.Policy != "" {
		current = revisionID(d.PolicyRevision)
	}
	switch {
	case !expected.Set || expected.Value == current:
		return nil
	case expected.Value == noRevision:
		return noPolicy("Requested policy update expecting none to be present for table " + d.Name +
			", but a policy exists with revision id " + current + ".")
	case d.Policy == "":
		return noPolicy("Requested update for policy with revision id " + expected.Value +
			", but no policy is associated to target table " + d.Name + ".")
	}
	return noPolicy("Requested update for policy with revision id " + expected.Value +
		", but the policy associated to target table " + d.Name + " has revision id " + current + ".")
}
