package functions

import (
	"bytes"
	"encoding/json"
	"strings"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// putResourcePolicy keeps a table's policy. It is only kept: antipode decides by
// access keys alone.
func putResourcePolicy(c *call, in *wire.PutResourcePolicyInput) error {
	policy, err := policyText(in.Policy.Value)
	if err != nil {
		return err
	}
	d, err := c.changePolicy(in.ResourceArn.Value, in.ExpectedRevisionId, func(d *table.Descriptor) {
		if d.Policy == policy {
			return
		}
		d.Policy = policy
		d.PolicyRevision = max(c.now.UnixMilli(), d.PolicyRevision+1)
	})
	if err != nil {
		return err
	}
	c.out.BeginObject().Name("RevisionId").String(revisionID(d.PolicyRevision)).EndObject()
	return nil
}

// maxPolicy bounds a policy in bytes, white space and all.
const maxPolicy = 20480

// policyText is a policy as it is kept: without white space. It must say
// something; what it says is not looked at.
func policyText(policy string) (string, error) {
	if len(policy) > maxPolicy {
		return "", apierr.Invalid("One or more parameter values were invalid: Maximum policy size of %d bytes exceeded", maxPolicy)
	}
	if strings.TrimSpace(policy) == "null" {
		return "", apierr.Invalid("One or more parameter values were invalid: Invalid policy document: This text appears not to be a policy")
	}
	var short bytes.Buffer
	if !strings.HasPrefix(strings.TrimSpace(policy), "{") || json.Compact(&short, []byte(policy)) != nil {
		return "", apierr.Invalid("One or more parameter values were invalid: " +
			"Invalid policy document: This policy contains invalid Json")
	}
	return short.String(), checkPolicy(short.Bytes())
}

// checkPolicy refuses a policy that says nothing, in AWS's words (DDB-TABLE-457).
func checkPolicy(policy []byte) error {
	var doc struct {
		Statement json.RawMessage
	}
	why := ""
	switch err := json.Unmarshal(policy, &doc); {
	case err != nil:
		why = "This policy contains invalid Json"
	case string(policy) == "{}":
		why = "Syntax error at position (1,3)"
	case string(doc.Statement) == "[]":
		why = "Could not parse the policy: Statement is empty!"
	case string(doc.Statement) == "[{}]", string(doc.Statement) == "{}":
		why = "Missing required field Effect"
	default:
		return nil
	}
	return apierr.Invalid("One or more parameter values were invalid: Invalid policy document: %s", why)
}

// policyTable finds the table of a policy's ResourceArn.
func (c *call) policyTable(arn string) (*table.Descriptor, error) {
	name, err := c.resourceTable(arn, "One or more parameter values were invalid: Invalid resource Arn: %s")
	if err != nil {
		return nil, err
	}
	return c.backend.DescribeTable(c.ctx, name)
}

// changePolicy changes the policy of a table when it is the expected one.
func (c *call) changePolicy(arn string, expected wire.Opt[string], change func(*table.Descriptor)) (*table.Descriptor, error) {
	for race := 0; ; race++ {
		old, err := c.policyTable(arn)
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
