package globaltables

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestEveryRegionWrites: a write in any region is in all others, as it was made.
func TestEveryRegionWrites(t *testing.T) {
	s := global(t, nil)
	for _, from := range world.regions {
		it := itemOf{
			"id": str("from-" + from), "text": str(from), "n": &types.AttributeValueMemberN{Value: "12345678901234567890.12345678901234567"},
			"b": &types.AttributeValueMemberB{Value: []byte{0, 255, 1}}, "ss": &types.AttributeValueMemberSS{Value: []string{"b", "a"}},
			"m": &types.AttributeValueMemberM{Value: itemOf{"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{
				&types.AttributeValueMemberNULL{Value: true}, &types.AttributeValueMemberBOOL{Value: false}, str(""),
			}}}},
		}
		s.putItem(from, it)
		s.arrives("from-"+from, from, world.regions...)
		want := s.item(from, "from-"+from)
		for _, to := range others(from) {
			if got := s.item(to, "from-"+from); got != want {
				t.Errorf("%s reads %s\n%s wrote %s", to, got, from, want)
			}
		}
	}
}

// item is an item in full, as text.
func (s *suite) item(region, id string) string {
	s.Helper()
	out, err := in(region).GetItem(s.Context(), &dynamodb.GetItemInput{TableName: &s.name, Key: keyOf(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		s.Fatal(err)
	}
	return canonical(&types.AttributeValueMemberM{Value: out.Item})
}

// TestLastWriterWins: of writes that are ordered in time the last one is
// everywhere, whole, also when it came from another region than the one before.
func TestLastWriterWins(t *testing.T) {
	s := global(t, nil)
	for round := range 3 {
		for _, region := range world.regions {
			text := fmt.Sprintf("%s %d", region, round)
			// Only its own attribute: whole items win, not attributes.
			s.putItem(region, itemOf{"id": str("k"), "text": str(text), region: num(int64(round))})
			s.arrives("k", text, world.regions...)
		}
	}
	last := world.regions[len(world.regions)-1]
	want := s.item(last, "k")
	for _, region := range world.regions {
		if got := s.item(region, "k"); got != want {
			t.Errorf("%s reads %s, want %s", region, got, want)
		}
	}
}

// TestConflictsConverge: writes and deletes of the same keys in all regions at
// once end in one value everywhere, and it is one that somebody wrote.
func TestConflictsConverge(t *testing.T) {
	s := global(t, nil)
	const keys, rounds = 20, 8
	var lock sync.Mutex
	wrote := map[string]bool{"": true}
	var group sync.WaitGroup
	for _, region := range world.regions {
		group.Go(func() {
			for round := range rounds {
				for k := range keys {
					id := fmt.Sprint("key-", k)
					if (round+k)%7 == 0 {
						_, _ = in(region).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.name, Key: keyOf(id)})
						continue
					}
					text := fmt.Sprintf("%s %s %d", id, region, round)
					lock.Lock()
					wrote[text] = true
					lock.Unlock()
					_, err := in(region).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
						TableName: &s.name, Key: keyOf(id), UpdateExpression: aws.String("SET #t = :t"),
						ExpressionAttributeNames: map[string]string{"#t": "text"}, ExpressionAttributeValues: itemOf{":t": str(text)},
					})
					if err != nil {
						t.Errorf("update in %s: %v", region, err)
					}
				}
			}
		})
	}
	group.Wait()
	s.flush()
	ids := make([]string, keys)
	for k := range keys {
		ids[k] = fmt.Sprint("key-", k)
	}
	for id, text := range s.agree(ids...) {
		if !wrote[text] {
			t.Errorf("%s is %q, which nobody wrote", id, text)
		}
	}
}

// flush writes a marker in each region and waits for it in all. Order holds for
// one item only, so what it proves is that links work, not that all has come.
func (s *suite) flush() {
	s.Helper()
	for _, region := range world.regions {
		s.put(region, "flush-"+region, region)
	}
	for _, region := range world.regions {
		s.arrives("flush-"+region, region, world.regions...)
	}
}

// TestDeletesTravel: a delete is a write like others, and what is written anew
// after it stays.
func TestDeletesTravel(t *testing.T) {
	s := global(t, nil)
	for _, from := range world.regions {
		for _, again := range world.regions {
			id := from + "-" + again
			s.put(from, id, "first")
			s.arrives(id, "first", world.regions...)
			s.delete(again, id)
			s.arrives(id, "", world.regions...)
			s.put(from, id, "second")
			s.arrives(id, "second", world.regions...)
		}
	}
}

// TestCountersAreLost: an update reads its own region's item, so concurrent
// increments in two regions do not add up, but all regions end with one number,
// and it is at least what one region alone counted.
func TestCountersAreLost(t *testing.T) {
	s := global(t, nil)
	const each = 20
	var group sync.WaitGroup
	for _, region := range world.regions {
		group.Go(func() {
			for range each {
				_, err := in(region).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: &s.name, Key: keyOf("counter"), UpdateExpression: aws.String("ADD n :one SET #t = :t"),
					ExpressionAttributeNames: map[string]string{"#t": "text"}, ExpressionAttributeValues: itemOf{":one": num(1), ":t": str("x")},
				})
				if err != nil {
					t.Errorf("increment in %s: %v", region, err)
				}
			}
		})
	}
	group.Wait()
	s.flush()
	eventually(t, "counter in all regions", func(ctx context.Context) (string, bool) {
		values := map[int64]bool{}
		for _, region := range world.regions {
			out, err := in(region).GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.name, Key: keyOf("counter"), ConsistentRead: aws.Bool(true)})
			if err != nil {
				return err.Error(), false
			}
			var n int64
			_, _ = fmt.Sscan(out.Item["n"].(*types.AttributeValueMemberN).Value, &n)
			if n < each || n > int64(each*len(world.regions)) {
				t.Fatalf("%s counts %d", region, n)
			}
			values[n] = true
		}
		return fmt.Sprint(values), len(values) == 1
	})
}
