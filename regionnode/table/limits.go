package table

import "antipode/regionnode/item"

// DynamoDB's limits, in bytes where nothing else is said ("Service, account, and
// table quotas" and "Constraints" of the developer guide).
const (
	MaxItemSize      = 400 << 10 // item.Size of a stored item, inclusive
	MaxHashKeySize   = 2048      // an S or B hash attribute
	MaxRangeKeySize  = 1024      // an S or B range attribute
	MaxDepth         = item.MaxDepth
	MaxNameSize      = 64<<10 - 1 // an attribute name
	MaxKeyNameSize   = 255        // a key attribute's name, and a projected one's
	MinTableNameLen  = 3          // characters of [a-zA-Z0-9_.-]; indexes too
	MaxTableNameLen  = 255
	MaxLocalIndexes  = 5
	MaxGlobalIndexes = 20  // the default quota
	MaxProjected     = 100 // INCLUDE attributes summed over all indexes
	MaxKeyParts      = 4   // hash, and as many range, attributes of a global index
	MaxTags          = 50
	MaxTables        = 2500 // a region's default quota

	MaxExpressionSize = 4 << 10 // one expression
	MaxOperators      = 300     // in one condition, filter or update expression
	MaxInOperands     = 100     // of one IN
	MaxPageSize       = 1 << 20 // evaluated by one Query or Scan call
	MaxBatchGetKeys   = 100
	MaxBatchGetSize   = 16 << 20
	MaxBatchWrites    = 25
	MaxBatchWriteSize = 16 << 20
	MaxTransactItems  = 100
	MaxTransactSize   = 4 << 20
	MaxCollectionSize = 10 << 30 // an item collection in a table with local indexes
	MaxScanSegments   = 1000000
	MaxRequestSize    = 16 << 20
	ReadUnitSize      = 4 << 10 // bytes a read unit covers
	WriteUnitSize     = 1 << 10 // bytes a write unit covers
)
