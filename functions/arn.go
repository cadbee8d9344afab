package functions

import (
	"strings"

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
