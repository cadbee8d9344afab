package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
)

// A change as a stream tells it.
type change struct {
	Dynamodb struct {
		Keys               row
		NewImage, OldImage row
	} `json:"dynamodb"`
}

// checkStream reads the whole stream: for every key, each change begins where
// the one before ended and the last one is what is stored, so none is missing,
// doubled or out of order.
func (r *run) checkStream(ctx context.Context) error {
	newest := map[string]row{}
	records := 0
	err := r.readStream(ctx, func(c *change) error {
		records++
		key := c.Dynamodb.Keys["k"].S
		if !same(newest[key], c.Dynamodb.OldImage) {
			return fmt.Errorf("stream: a change of %s begins with %v, the one before ended with %v", key, c.Dynamodb.OldImage, newest[key])
		}
		newest[key] = c.Dynamodb.NewImage
		return nil
	})
	if err != nil {
		return err
	}
	stored, err := r.scan(ctx, "")
	if err != nil {
		return err
	}
	for key, row := range stored {
		if !same(row, newest[key]) {
			return fmt.Errorf("stream: %s ends with %v, stored is %v", key, newest[key], row)
		}
	}
	r.report.StreamRecords = records
	return nil
}

func same(a, b row) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

// readStream reads every shard of the table's stream once, parents first.
func (r *run) readStream(ctx context.Context, each func(*change) error) error {
	var streams struct{ Streams []struct{ StreamArn string } }
	if err := r.region.client.ask(ctx, "ListStreams", `{"TableName":"`+tableName+`"}`, &streams); err != nil {
		return err
	}
	if len(streams.Streams) != 1 {
		return fmt.Errorf("the table has %d streams", len(streams.Streams))
	}
	arn := streams.Streams[0].StreamArn
	shards, err := r.shards(ctx, arn)
	if err != nil {
		return err
	}
	read := map[string]bool{}
	for len(read) < len(shards) {
		before := len(read)
		for id, parent := range shards {
			if _, there := shards[parent]; read[id] || there && !read[parent] {
				continue
			}
			if err := r.readShard(ctx, arn, id, each); err != nil {
				return err
			}
			read[id] = true
		}
		if len(read) == before {
			return fmt.Errorf("the shards of %s are one another's parents", arn)
		}
	}
	return nil
}

// shards maps every shard to its parent.
func (r *run) shards(ctx context.Context, arn string) (map[string]string, error) {
	out := map[string]string{}
	last := ""
	for {
		var page struct {
			StreamDescription struct {
				Shards               []struct{ ShardID, ParentShardID string }
				LastEvaluatedShardID string
			}
		}
		body := fmt.Sprintf(`{"StreamArn":%q}`, arn)
		if last != "" {
			body = fmt.Sprintf(`{"StreamArn":%q,"ExclusiveStartShardId":%q}`, arn, last)
		}
		if err := r.region.client.ask(ctx, "DescribeStream", body, &page); err != nil {
			return nil, err
		}
		for _, s := range page.StreamDescription.Shards {
			out[s.ShardID] = s.ParentShardID
		}
		if last = page.StreamDescription.LastEvaluatedShardID; last == "" {
			return out, nil
		}
	}
}

// emptyPages is how many pages without a record end an open shard: nobody writes
// any more.
const emptyPages = 3

func (r *run) readShard(ctx context.Context, arn, shard string, each func(*change) error) error {
	var start struct{ ShardIterator string }
	if err := r.region.client.ask(ctx, "GetShardIterator", fmt.Sprintf(`{"StreamArn":%q,"ShardId":%q,"ShardIteratorType":"TRIM_HORIZON"}`, arn, shard), &start); err != nil {
		return err
	}
	at := start.ShardIterator
	for empty := 0; at != "" && empty < emptyPages; {
		var page struct {
			Records           []change
			NextShardIterator string
		}
		if err := r.region.client.ask(ctx, "GetRecords", fmt.Sprintf(`{"ShardIterator":%q}`, at), &page); err != nil {
			return err
		}
		for i := range page.Records {
			if err := each(&page.Records[i]); err != nil {
				return err
			}
		}
		at = page.NextShardIterator
		if empty++; len(page.Records) > 0 {
			empty = 0
		}
	}
	return nil
}

// scan reads the table strongly, or an index, by key.
func (r *run) scan(ctx context.Context, index string) (map[string]row, error) {
	out := map[string]row{}
	from := ""
	if index == "" {
		from = `,"ConsistentRead":true`
	} else {
		from = fmt.Sprintf(`,"IndexName":%q`, index)
	}
	start := ""
	for {
		var page struct {
			Items            []row
			LastEvaluatedKey row
		}
		if err := r.region.client.ask(ctx, "Scan", `{"TableName":"`+tableName+`"`+from+start+`}`, &page); err != nil {
			return nil, err
		}
		for _, row := range page.Items {
			key := row["k"].S
			if _, twice := out[key]; twice {
				return nil, fmt.Errorf("a scan of %q brings %s twice", index, key)
			}
			out[key] = row
		}
		if len(page.LastEvaluatedKey) == 0 {
			return out, nil
		}
		b, err := json.Marshal(page.LastEvaluatedKey)
		if err != nil {
			return nil, err
		}
		start = `,"ExclusiveStartKey":` + string(b)
	}
}

// checkIndex waits until the global index has what the table has, and nothing
// else.
func (r *run) checkIndex(ctx context.Context) error {
	table, err := r.scan(ctx, "")
	if err != nil {
		return err
	}
	for key, row := range table {
		if row["g"].S == "" {
			delete(table, key)
		}
	}
	var difference string
	err = r.region.until(ctx, "the index equals its table", func() bool {
		index, err := r.scan(ctx, indexName)
		if err != nil {
			difference = err.Error()
			return false
		}
		difference = differ(table, index)
		return difference == ""
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, difference)
	}
	return nil
}

// differ names a difference, "" when there is none.
func differ(table, index map[string]row) string {
	for key, row := range table {
		if !same(row, index[key]) {
			return fmt.Sprintf("%s is %v in the table, %v in the index", key, row, index[key])
		}
	}
	for key := range index {
		if _, there := table[key]; !there {
			return fmt.Sprintf("%s is only in the index", key)
		}
	}
	return ""
}
