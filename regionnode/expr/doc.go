// Package expr is DynamoDB's expression language: condition, filter, update,
// projection and key-condition expressions, and the older parameters (Expected,
// QueryFilter, KeyConditions, AttributeUpdates) that say the same things in
// JSON. All become one kind of tree, which is checked once when it is parsed,
// travels between functions and nodes in a compact form, and is evaluated
// against items. It knows no request, no storage and, but for binding a key
// condition to a key schema, no table.
package expr
