// Package conformance tests DynamoDB's behaviour through the AWS SDK for Go
// against any endpoint: with -endpoint (and -regions) against a running one,
// otherwise against a cluster that it starts in its own process. It knows
// nothing of antipode but how to start it.
package conformance
