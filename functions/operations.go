package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/apierr"
)

// operation is one entry of the table. Without run it is known by name, and
// refused by name.
type operation struct {
	run func(c *call, in wire.Input) error
}

// does makes an entry of an operation's function. The operation's own Input is
// what wire.Decode gives for it.
func does[I wire.Input](run func(c *call, in I) error) operation {
	return operation{func(c *call, in wire.Input) error { return run(c, in.(I)) }}
}

// operations lists every operation of DynamoDB, of DynamoDB Streams and of our
// own, alphabetically.
var operations = [...]operation{
	wire.BatchExecuteStatement:               does(batchExecuteStatement),
	wire.BatchGetItem:                        does(batchGetItem),
	wire.BatchWriteItem:                      does(batchWriteItem),
	wire.CancelBulkOperation:                 {},
	wire.CreateBackup:                        {},
	wire.CreateGlobalTable:                   does(createGlobalTable),
	wire.CreateTable:                         does(createTable),
	wire.DeleteBackup:                        {},
	wire.DeleteItem:                          does(deleteItem),
	wire.DeleteResourcePolicy:                does(deleteResourcePolicy),
	wire.DeleteTable:                         does(deleteTable),
	wire.DescribeBackup:                      {},
	wire.DescribeBulkOperation:               {},
	wire.DescribeContinuousBackups:           does(describeContinuousBackups),
	wire.DescribeContributorInsights:         does(describeContributorInsights),
	wire.DescribeEndpoints:                   does(describeEndpoints),
	wire.DescribeExport:                      {},
	wire.DescribeGlobalTable:                 does(describeGlobalTable),
	wire.DescribeGlobalTableSettings:         does(describeGlobalTableSettings),
	wire.DescribeImport:                      {},
	wire.DescribeKinesisStreamingDestination: does(describeKinesisStreamingDestination),
	wire.DescribeLimits:                      does(describeLimits),
	wire.DescribeReplication:                 does(describeReplication),
	wire.DescribeStream:                      does(describeStream),
	wire.DescribeTable:                       does(describeTable),
	wire.DescribeTableReplicaAutoScaling:     does(describeTableReplicaAutoScaling),
	wire.DescribeTimeToLive:                  does(describeTimeToLive),
	wire.DisableKinesisStreamingDestination:  {},
	wire.EnableKinesisStreamingDestination:   {},
	wire.ExecuteStatement:                    does(executeStatement),
	wire.ExecuteTransaction:                  does(executeTransaction),
	wire.ExportTableToPointInTime:            {},
	wire.GetItem:                             does(getItem),
	wire.GetRecords:                          does(getRecords),
	wire.GetResourcePolicy:                   does(getResourcePolicy),
	wire.GetShardIterator:                    does(getShardIterator),
	wire.ImportTable:                         {},
	wire.ListBackups:                         does(listBackups),
	wire.ListBulkOperations:                  {},
	wire.ListContributorInsights:             does(listContributorInsights),
	wire.ListExports:                         does(listExports),
	wire.ListGlobalTables:                    does(listGlobalTables),
	wire.ListImports:                         does(listImports),
	wire.ListStreams:                         does(listStreams),
	wire.ListTables:                          does(listTables),
	wire.ListTagsOfResource:                  does(listTagsOfResource),
	wire.PutItem:                             does(putItem),
	wire.PutResourcePolicy:                   does(putResourcePolicy),
	wire.Query:                               does(query),
	wire.RestoreTableFromBackup:              {},
	wire.RestoreTableToPointInTime:           {},
	wire.Scan:                                does(scan),
	wire.SearchVectors:                       {},
	wire.StartBulkPutItems:                   {},
	wire.TagResource:                         does(tagResource),
	wire.TransactGetItems:                    does(transactGetItems),
	wire.TransactWriteItems:                  does(transactWriteItems),
	wire.UntagResource:                       does(untagResource),
	wire.UpdateContinuousBackups:             {},
	wire.UpdateContributorInsights:           {},
	wire.UpdateGlobalTable:                   does(updateGlobalTable),
	wire.UpdateGlobalTableSettings:           does(updateGlobalTableSettings),
	wire.UpdateItem:                          does(updateItem),
	wire.UpdateKinesisStreamingDestination:   {},
	wire.UpdateTable:                         does(updateTable),
	wire.UpdateTableReplicaAutoScaling:       {},
	wire.UpdateTimeToLive:                    does(updateTimeToLive),
}

// absent refuses an operation of the API that antipode does not have.
func absent(op wire.Operation) error {
	return apierr.Newf(apierr.UnknownOperation, "%s is not available in antipode", op)
}

// unknownOperation refuses what is no operation; DynamoDB says nothing more.
func unknownOperation() error { return apierr.New(apierr.UnknownOperation, "") }
