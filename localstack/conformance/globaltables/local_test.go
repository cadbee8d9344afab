package globaltables

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestConditionsAreLocal: a condition sees what its own region has. What arrived
// from elsewhere counts as if it had been written there.
func TestConditionsAreLocal(t *testing.T) {
	s := global(t, nil)
	a, b := world.regions[0], world.regions[1]
	s.put(a, "k", "first")
	s.arrives("k", "first", b)
	_, err := in(b).PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: &s.name, Item: itemOf{"id": str("k"), "text": str("second")}, ConditionExpression: aws.String("attribute_not_exists(id)"),
	})
	refused(t, err, "ConditionalCheckFailedException", "The conditional request failed")
	_, err = in(b).PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: &s.name, Item: itemOf{"id": str("k"), "text": str("third")}, ConditionExpression: aws.String("#t = :first"),
		ExpressionAttributeNames: map[string]string{"#t": "text"}, ExpressionAttributeValues: itemOf{":first": str("first")},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.arrives("k", "third", world.regions...)
}

// TestTransactionsAreLocal: a transaction is one in its own region, where readers
// never see half of it; the other regions get all of it in the end.
func TestTransactionsAreLocal(t *testing.T) {
	s := global(t, nil)
	home := world.regions[0]
	const accounts, rounds = 4, 20
	account := func(i int) string { return fmt.Sprint("account-", i) }
	for i := range accounts {
		s.putItem(home, itemOf{"id": str(account(i)), "n": num(100), "text": str("x")})
	}
	for round := range rounds {
		from, to := round%accounts, (round*3+1)%accounts
		if from == to {
			continue
		}
		move := func(id string, by int64) types.TransactWriteItem {
			return types.TransactWriteItem{Update: &types.Update{
				TableName: &s.name, Key: keyOf(id), UpdateExpression: aws.String("ADD n :by"), ExpressionAttributeValues: itemOf{":by": num(by)},
			}}
		}
		if _, err := in(home).TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			TransactItems: []types.TransactWriteItem{move(account(from), -5), move(account(to), 5)},
		}); err != nil {
			t.Fatal(err)
		}
		if sum, _, err := s.sum(t.Context(), home, accounts); err != nil || sum != 100*accounts {
			t.Fatalf("sum %d in %s: %v", sum, home, err)
		}
	}
	_, want, err := s.sum(t.Context(), home, accounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range others(home) {
		eventually(t, "balances in "+region, func(ctx context.Context) (string, bool) {
			_, got, err := s.sum(ctx, region, accounts)
			return fmt.Sprint(got, err), err == nil && got == want
		})
	}
}

// sum reads all accounts in one transaction.
func (s *suite) sum(ctx context.Context, region string, accounts int) (total int, balances string, err error) {
	var gets []types.TransactGetItem
	for i := range accounts {
		gets = append(gets, types.TransactGetItem{Get: &types.Get{TableName: &s.name, Key: keyOf(fmt.Sprint("account-", i))}})
	}
	out, err := in(region).TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{TransactItems: gets})
	if err != nil {
		return 0, "", err
	}
	for _, r := range out.Responses {
		v, ok := r.Item["n"].(*types.AttributeValueMemberN)
		if !ok {
			return 0, "", fmt.Errorf("an account is missing")
		}
		n, err := strconv.Atoi(v.Value)
		if err != nil {
			return 0, "", err
		}
		total += n
		balances += v.Value + " "
	}
	return total, balances, nil
}
