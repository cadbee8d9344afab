package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/table"
)

// deleteResourcePolicy is no error when there is no policy.
func deleteResourcePolicy(c *call, in *wire.DeleteResourcePolicyInput) error {
	revision := int64(0)
	_, err := c.changePolicy(in.ResourceArn.Value, in.ExpectedRevisionId, func(d *table.Descriptor) {
		if d.Policy != "" {
			revision = d.PolicyRevision
		}
		d.Policy = ""
	})
	if err != nil {
		return err
	}
	c.out.BeginObject()
	if revision != 0 {
		c.out.Name("RevisionId").String(revisionID(revision))
	}
	c.out.EndObject()
	return nil
}
