package functions

import (
	"slices"
	"time"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// maxListedShards bounds the shards of one DescribeStream.
const maxListedShards = 100

func describeStream(c *call, in *wire.DescribeStreamInput) error {
	limit := in.Limit.Or(maxListedShards)
	if err := atMost(limit, maxListedShards); err != nil {
		return err
	}
	if f := in.ShardFilter; f != nil {
		// The model asks for neither, the service for both.
		switch {
		case !f.Type.Set:
			return apierr.Invalid("1 validation error detected: Value null at 'shardFilter.type' failed to satisfy constraint: Member must not be null")
		case !f.ShardId.Set:
			return apierr.Invalid("1 validation error detected: Value null at 'shardFilter.shardId' failed to satisfy constraint: Member must not be null")
		}
	}
	s, err := c.stream(in.StreamArn.Value)
	if err != nil {
		return err
	}
	all, whole, err := c.shards(s)
	if err != nil {
		return err
	}
	status := streamStatus(s.what, all, whole)
	if in.ShardFilter != nil {
		parent := in.ShardFilter.ShardId.Value
		all = slices.DeleteFunc(all, func(sh shard) bool { return sh.Parent == 0 || shardID(s.what.Label, sh.Parent) != parent })
	}
	all = slices.DeleteFunc(all, func(sh shard) bool { return sh.id <= in.ExclusiveStartShardId.Value })
	last := ""
	if int64(len(all)) > limit {
		all = all[:limit]
		last = all[limit-1].id
	}
	writeStreamDescription(c.out, s, status, all, last)
	return nil
}

// streamStatus is the status that a stream has by what its partitions know.
func streamStatus(s table.Stream, shards []shard, whole bool) string {
	if s.Enabled {
		if whole {
			return "ENABLED"
		}
		return "ENABLING"
	}
	if slices.ContainsFunc(shards, func(sh shard) bool { return !sh.Closed }) {
		return "DISABLING"
	}
	return "DISABLED"
}

func writeStreamDescription(w *wire.Writer, s *stream, status string, shards []shard, last string) {
	w.BeginObject().Name("StreamDescription").BeginObject()
	w.Name("StreamArn").String(s.arn)
	w.Name("StreamLabel").String(s.what.Label)
	w.Name("StreamStatus").String(status)
	w.Name("StreamViewType").String(s.what.View)
	if at, err := time.Parse("2006-01-02T15:04:05.000", s.what.Label); err == nil {
		w.Name("CreationRequestDateTime").Time(at)
	}
	w.Name("TableName").String(s.table.Name)
	writeKeySchema(w, s.table.Key)
	w.Name("Shards").BeginArray()
	for i := range shards {
		writeShard(w, s, &shards[i])
	}
	w.EndArray()
	if last != "" {
		w.Name("LastEvaluatedShardId").String(last)
	}
	w.EndObject().EndObject()
}

func writeShard(w *wire.Writer, s *stream, sh *shard) {
	w.BeginObject().Name("ShardId").String(sh.id)
	w.Name("SequenceNumberRange").BeginObject()
	w.Name("StartingSequenceNumber").String(sequenceNumber(sh.First))
	if sh.Closed {
		w.Name("EndingSequenceNumber").String(sequenceNumber(max(sh.First, sh.End)))
	}
	w.EndObject()
	if sh.Parent != 0 {
		w.Name("ParentShardId").String(shardID(s.what.Label, sh.Parent))
	}
	w.EndObject()
}
