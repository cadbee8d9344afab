package functions

import (
	"slices"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
)

func getShardIterator(c *call, in *wire.GetShardIteratorInput) error {
	s, err := c.stream(in.StreamArn.Value)
	if err != nil {
		return err
	}
	if err := c.checkStart(in); err != nil {
		return err
	}
	all, _, err := c.shards(s)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(sh shard) bool { return sh.id == in.ShardId.Value })
	if i < 0 {
		return shardMissing()
	}
	it := iterator{arn: s.arn, made: c.now, partition: all[i].Partition, generation: all[i].Generation}
	if it.after, err = startIn(&all[i], in); err != nil {
		return err
	}
	if in.ShardIteratorType.Value == "AT_TIMESTAMP" {
		it.since = in.Timestamp.Value.UnixMilli()
	}
	c.out.BeginObject().Name("ShardIterator").String(it.String()).EndObject()
	return nil
}

// checkStart refuses a start that does not fit the iterator's type.
func (c *call) checkStart(in *wire.GetShardIteratorInput) error {
	kind := in.ShardIteratorType.Value
	bySequence := kind == "AT_SEQUENCE_NUMBER" || kind == "AFTER_SEQUENCE_NUMBER"
	switch {
	case bySequence && !in.SequenceNumber.Set:
		return apierr.Invalid("SequenceNumber must be specified when ShardIteratorType is %s", kind)
	case !bySequence && in.SequenceNumber.Set:
		return apierr.Invalid("SequenceNumber cannot be specified when ShardIteratorType is %s", kind)
	case kind == "AT_TIMESTAMP" && !in.Timestamp.Set:
		return apierr.Invalid("Timestamp must be specified when ShardIteratorType is %s", kind)
	case kind != "AT_TIMESTAMP" && in.Timestamp.Set:
		return apierr.Invalid("Timestamp cannot be specified when ShardIteratorType is %s", kind)
	case in.Timestamp.Set && in.Timestamp.Value.After(c.now):
		return apierr.Invalid("Timestamp cannot be in the future")
	}
	return nil
}

// startIn is the sequence behind which the iterator reads.
func startIn(sh *shard, in *wire.GetShardIteratorInput) (after uint64, err error) {
	oldest := sh.First - 1
	switch in.ShardIteratorType.Value {
	case "TRIM_HORIZON", "AT_TIMESTAMP":
		return oldest, nil
	case "LATEST":
		return sh.End, nil
	}
	n, ok := parseSequenceNumber(in.SequenceNumber.Value)
	// One behind the newest is the number that an empty shard begins with.
	if !ok || n == 0 || n > max(sh.End, oldest)+1 {
		return 0, apierr.Invalid("Invalid SequenceNumber: %s", in.SequenceNumber.Value)
	}
	if in.ShardIteratorType.Value == "AT_SEQUENCE_NUMBER" {
		n--
	}
	if n < oldest {
		return 0, apierr.New(apierr.TrimmedDataAccess, "The data you are trying to access has been trimmed")
	}
	return n, nil
}
