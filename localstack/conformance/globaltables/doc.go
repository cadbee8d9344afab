// Package globaltables tests what Global Tables (version 2019.11.21) promise,
// through the AWS SDK for Go, against any regional endpoints: AWS's own
// (-endpoint=aws), one endpoint for all regions (-endpoint=http://…), one for each
// (-endpoint=us-east-1=http://…,eu-west-1=http://…), or a cluster that it starts in
// its own process. It asks for nothing that the AWS developer guide does not
// promise, waits for conditions and never for a time, and deletes its tables. It
// knows nothing of antipode but how to start it.
package globaltables
