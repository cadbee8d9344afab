package main

import (
	"fmt"
	"sort"
	"strings"
)

// This file is what the service does beyond its published model, as its answers
// show: the order in which it lists violations and enum values, bounds that the
// model leaves out, and which operations answer from the newer of its two
// validation layers.

// memberOrder gives the order in which violations of a structure's members are
// listed, where it is known. Members not named follow in the model's order.
var memberOrder = map[string][]string{
	"CreateTableInput":                 {"AttributeDefinitions", "TableName", "BillingMode", "ProvisionedThroughput", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"},
	"UpdateTableInput":                 {"TableName", "ProvisionedThroughput", "BillingMode", "GlobalSecondaryIndexUpdates"},
	"GlobalSecondaryIndex":             {"Projection", "IndexName", "ProvisionedThroughput", "KeySchema"},
	"LocalSecondaryIndex":              {"Projection", "IndexName", "KeySchema"},
	"CreateGlobalSecondaryIndexAction": {"Projection", "IndexName", "ProvisionedThroughput", "KeySchema"},
	"ProvisionedThroughput":            {"WriteCapacityUnits", "ReadCapacityUnits"},
	"PutItemInput":                     {"ReturnConsumedCapacity", "TableName", "Item", "ConditionalOperator", "Expected", "ReturnValues", "ReturnItemCollectionMetrics"},
	"UpdateItemInput":                  {"ReturnConsumedCapacity", "TableName", "ReturnItemCollectionMetrics", "ReturnValues", "ConditionalOperator", "Key", "Expected", "AttributeUpdates"},
	"DeleteItemInput":                  {"ReturnConsumedCapacity", "TableName", "ReturnValues", "ReturnItemCollectionMetrics", "Key", "ConditionalOperator", "Expected"},
	"GetItemInput":                     {"ReturnConsumedCapacity", "AttributesToGet", "TableName", "Key"},
	"QueryInput":                       {"ConditionalOperator", "Select", "IndexName", "ReturnConsumedCapacity", "QueryFilter", "TableName", "AttributesToGet", "Limit", "KeyConditions"},
	"ScanInput":                        {"Select", "IndexName", "TotalSegments", "ReturnConsumedCapacity", "TableName", "ConditionalOperator", "ScanFilter", "Segment", "Limit", "AttributesToGet"},
	"BatchGetItemInput":                {"RequestItems", "ReturnConsumedCapacity"},
	"BatchWriteItemInput":              {"ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "RequestItems"},
	"TransactWriteItemsInput":          {"ClientRequestToken", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "TransactItems"},
	"ListTablesInput":                  {"Limit", "ExclusiveStartTableName"},
}

func sortMembers(st *structure) error {
	rank := map[string]int{}
	for i, name := range memberOrder[st.Name] {
		rank[name] = i - len(memberOrder[st.Name])
	}
	known := 0
	for _, m := range st.Members {
		if _, ok := rank[m.Name]; ok {
			known++
		}
	}
	if known != len(rank) {
		return fmt.Errorf("memberOrder of %s names members that the model does not have", st.Name)
	}
	sort.SliceStable(st.Members, func(i, j int) bool { return rank[st.Members[i].Name] < rank[st.Members[j].Name] })
	return nil
}

// enumOrder gives the order in which an enum's values are listed, where it is
// known and differs from hashOrder.
var enumOrder = map[string][]string{
	"ComparisonOperator":     {"IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"},
	"ReturnConsumedCapacity": {"INDEXES", "TOTAL", "NONE"},
	"ReturnValue":            {"ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"},
	"ScalarAttributeType":    {"B", "N", "S"},
	"Select":                 {"SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"},
}

// hashOrder is the order in which a Java HashSet of default capacity lists
// strings; the service lists most enums so.
func hashOrder(values []string) []string {
	capacity := 16
	for len(values)*4 > capacity*3 {
		capacity *= 2
	}
	slot := func(s string) int {
		var h uint32
		for i := 0; i < len(s); i++ {
			h = 31*h + uint32(s[i])
		}
		h ^= h >> 16
		return int(h & uint32(capacity-1))
	}
	out := append([]string(nil), values...)
	sort.SliceStable(out, func(i, j int) bool { return slot(out[i]) < slot(out[j]) })
	return out
}

// bounds replaces a member's bounds where the service's differ from the model.
var bounds = map[string]bound{
	"CreateTableInput.KeySchema":        {1, 2},
	"TableCreationParameters.KeySchema": {1, 2},
	"LocalSecondaryIndex.KeySchema":     {1, 2},
	"GetItemInput.AttributesToGet":      {1, 255},
	"QueryInput.AttributesToGet":        {1, 255},
	"ScanInput.AttributesToGet":         {1, 255},
	"KeysAndAttributes.AttributesToGet": {1, 255},
}

type bound struct{ min, max int64 }

// limitsFirst lists the operations whose bounds (length, range) are checked
// first, one violation ending the request, in the newer layer's words. The
// transactions do so in three of 33 regions only, and not at all times.
var limitsFirst = map[string]bool{
	"BatchGetItem": true, "BatchWriteItem": true, "DeleteItem": true, "GetItem": true, "PutItem": true,
	"Query": true, "UpdateItem": true,
}

// dataPlane lists the operations that report a missing TableName as any other
// missing member; the rest answer with a sentence of their own.
var dataPlane = map[string]bool{
	"BatchExecuteStatement": true, "BatchGetItem": true, "BatchWriteItem": true, "DeleteItem": true, "ExecuteStatement": true,
	"ExecuteTransaction": true, "GetItem": true, "PutItem": true, "Query": true, "Scan": true, "SearchVectors": true,
	"TransactGetItems": true, "TransactWriteItems": true, "UpdateItem": true,
}

// namelessEnums are enum members whose violation the newer layer words without
// value or path, and with a value set of its own.
var namelessEnums = map[string]string{
	"PutItemInput.ReturnValues":           "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]",
	"UpdateItemInput.ReturnValues":        "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]",
	"DeleteItemInput.ReturnValues":        "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]",
	"PutItemInput.ConditionalOperator":    "[ALL, OR]",
	"UpdateItemInput.ConditionalOperator": "[ALL, OR]",
	"DeleteItemInput.ConditionalOperator": "[ALL, OR]",
	"QueryInput.ConditionalOperator":      "[ALL, OR]",
}

// loneEnums are the nameless enums whose violation is reported alone: the value
// tells whether inside the envelope.
var loneEnums = map[string]bool{
	"UpdateItemInput.ReturnValues":   true,
	"QueryInput.ConditionalOperator": false,
}

// missing gives the whole message for a required member that is absent, where
// it is not the model's "Member must not be null".
var missing = map[string]string{
	"TagResourceInput.ResourceArn":        "Invalid TableArn",
	"UntagResourceInput.ResourceArn":      "Invalid TableArn",
	"ListTagsOfResourceInput.ResourceArn": "Invalid TableArn",
}

// unchecked are the shapes whose violations the service words itself, tag by tag.
var unchecked = map[string]bool{"Tag": true, "TagKeyString": true}

// tableRefs are the shapes that hold a table's name or its ARN.
var tableRefs = map[string]bool{"TableArn": true}

// patterns translates the model's patterns (Java's syntax, matching the whole
// value) where Go's differs.
var patterns = map[string]string{
	`\p{Print}+`: `[[:print:]]+`,
	`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*`: `[\x{20}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}\r\n\t]*`,
}

func goPattern(p string) string {
	if g, ok := patterns[p]; ok {
		return g
	}
	return strings.TrimSuffix(strings.TrimPrefix(p, "^"), "$")
}
