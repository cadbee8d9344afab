package functions

import (
	"strings"

	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// tableName is the table that a request names by name or, wherever the API
// takes a TableName, by ARN. What is no table's ARN is taken for a name, and is
// not found.
func tableName(nameOrARN string) string {
	if !strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN
	}
	_, resource, ok := strings.Cut(nameOrARN, ":table/")
	if !ok || resource == "" || strings.Contains(resource, "/") || table.IsSystem(resource) {
		return nameOrARN
	}
	return resource
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
