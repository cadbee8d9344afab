package functions

import (
	"strconv"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
)

func getResourcePolicy(c *call, in *wire.GetResourcePolicyInput) error {
	d, err := c.policyTable(in.ResourceArn.Value)
	if err != nil {
		return err
	}
	if d.Policy == "" {
		return noPolicy(in.ResourceArn.Value)
	}
	c.out.BeginObject().Name("Policy").String(d.Policy)
	c.out.Name("RevisionId").String(revisionID(d.PolicyRevision)).EndObject()
	return nil
}

func noPolicy(why string) error {
	return apierr.Newf(apierr.PolicyNotFound, "Resource-based policy not found for the provided ResourceArn: %s", why)
}

// revisionID names the revision of a policy: the time at which it was put.
func revisionID(r int64) string { return strconv.FormatInt(r, 10) }
