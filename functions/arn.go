package functions

import (
	"strings"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// tableName is the table that a request names by name or, wherever the API
// takes a TableName, by ARN. An ARN that is of another region, or of no table, is
// refused (DDB-TABLE-442); what is no ARN at all is taken for a name, and is not
// found.
func (c *call) tableName(nameOrARN string) (string, error) {
	parts := strings.SplitN(nameOrARN, ":", 6)
	if parts[0] != "arn" || len(parts) < 6 {
		return nameOrARN, nil
	}
	wrong := ""
	kind, name, _ := strings.Cut(parts[5], "/")
	switch {
	case parts[1] != "aws":
		wrong = "AWS partition"
	case parts[3] != c.region:
		wrong = "AWS region"
	case kind != "table":
		wrong = "resource type"
	case name == "" || strings.Contains(name, "/") || table.IsSystem(name):
		return nameOrARN, nil
	default:
		return name, nil
	}
	return "", apierr.Invalid("1 validation error detected: Invalid %s in '%s'", wrong, nameOrARN)
}

// describe is DescribeTable of the table that a request names: never from a
// cache.
func (c *call) describe(nameOrARN string) (*table.Descriptor, error) {
	name, err := c.tableName(nameOrARN)
	if err != nil {
		return nil, err
	}
	return c.backend.DescribeTable(c.ctx, name)
}

// resourceTable is the name of the table that a ResourceArn names. elsewhere
// words the refusal of another region's ARN. The account is not looked at; a
// stream is taken for a table that is not there.
func (c *call) resourceTable(arn, elsewhere string) (string, error) {
	if !strings.HasPrefix(arn, "arn:") {
		return "", apierr.Invalid("One or more parameter values were invalid: ARNs must start with 'arn:': %s", arn)
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[2] != "dynamodb" || !strings.HasPrefix(parts[5], "table/") {
		return "", noResource(arn)
	}
	if parts[1] != "aws" || parts[3] != c.region {
		return "", apierr.Invalid(elsewhere, arn)
	}
	name, rest, nested := strings.Cut(strings.TrimPrefix(parts[5], "table/"), "/")
	switch {
	case !nested:
		return name, nil
	case strings.HasPrefix(rest, "index/"):
		return "", apierr.Invalid("One or more parameter values were invalid: Invalid resource arn provided, "+
			"only table or stream is accepted. Provided resource arn: %s", arn)
	case strings.HasPrefix(rest, "stream/"):
		return name + "/" + rest, nil
	}
	return "", noResource(arn)
}

func noResource(arn string) error {
	return apierr.Invalid("One or more parameter values were invalid: Provided Arn is not a DynamoDB resource arn: %s", arn)
}
