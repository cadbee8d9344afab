// Package sigv4 checks AWS Signature Version 4 on requests to DynamoDB: who
// signed, for which region, and that the signature is right. It knows no
// operation, no permission and not where credentials are kept; its errors are
// those that AWS gives.
//
// With credentials configured, a Verifier checks everything. Without, Parse
// takes the access key and the region from the header on trust: the region of
// a shared port is found so.
//
// The signature is in the Authorization header or in the query, not in both. The
// hash is always that of the body received: UNSIGNED-PAYLOAD and chunked
// signatures fail as wrong signatures do.
package sigv4
