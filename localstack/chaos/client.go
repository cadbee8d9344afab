package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"antipode/localstack/chaos/history"
)

// client speaks DynamoDB's protocol to one endpoint.
type client struct {
	http     *http.Client
	endpoint string
	region   string
}

// requestTimeout ends a request whose outcome is then unknown.
const requestTimeout = 20 * time.Second

func newClient(endpoint, region string, connections int) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = connections
	return &client{http: &http.Client{Transport: transport, Timeout: requestTimeout}, endpoint: endpoint, region: region}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// call makes one request.
func (c *client) call(ctx context.Context, operation, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	now := time.Now().UTC()
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", target(operation))
	r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/"+now.Format("20060102")+"/"+c.region+
		"/dynamodb/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=0")
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func target(operation string) string {
	switch operation {
	case "ListStreams", "DescribeStream", "GetShardIterator", "GetRecords":
		return "DynamoDBStreams_20120810." + operation
	}
	return "DynamoDB_20120810." + operation
}

// tableName is the table under test, indexName its global index.
const (
	tableName = "chaos"
	indexName = "by-g"
)

// attribute is a value as this package writes it.
type attribute struct {
	S string      `json:"S,omitempty"`
	N string      `json:"N,omitempty"`
	L []attribute `json:"L,omitempty"`
}

// row is an item.
type row map[string]attribute

// number is n of an item that adding writes, and ids what was added.
func (r row) number() (n int64, ids []string, err error) {
	if r["n"].N != "" {
		if n, err = strconv.ParseInt(r["n"].N, 10, 64); err != nil {
			return 0, nil, fmt.Errorf("number of an item: %w", err)
		}
	}
	for _, id := range r["ids"].L {
		ids = append(ids, id.S)
	}
	return n, ids, nil
}

// ask makes one request and reads its answer into out; an answer other than 200
// is an error.
func (c *client) ask(ctx context.Context, operation, body string, out any) error {
	status, text, err := c.call(ctx, operation, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", operation, status, text)
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("%s answered %q: %w", operation, text, err)
	}
	return nil
}

// value is the register's value in an answer, "" when there is no item.
func value(text string) (string, error) {
	var a struct{ Item row }
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return "", fmt.Errorf("answer %q: %w", text, err)
	}
	return a.Item["v"].S, nil
}

// group is the key of a value in the global index: it changes with the value.
func group(v string) string { return "g" + v[len(v)-1:] }

// adding is an update that adds to n of an item and notes an id, so that doing
// it twice shows.
func adding(key string, amount int, id string) string {
	return fmt.Sprintf(`{"TableName":%q,"Key":{"k":{"S":%q}},"UpdateExpression":"SET n = if_not_exists(n, :zero) + :n, ids = list_append(if_not_exists(ids, :none), :id)",`+
		`"ExpressionAttributeValues":{":zero":{"N":"0"},":n":{"N":"%d"},":none":{"L":[]},":id":{"L":[{"S":%q}]}}}`, tableName, key, amount, id)
}

// add adds to one item.
func (c *client) add(ctx context.Context, key string, amount int, id string) history.Outcome {
	return judge(c.call(ctx, "UpdateItem", adding(key, amount, id)))
}

// transfer moves an amount from one item to another, both or neither. The text is
// the answer's. That the same request is in progress tells nothing of its end.
func (c *client) transfer(ctx context.Context, from, to string, amount int, id string) (history.Outcome, string) {
	status, text, err := c.call(ctx, "TransactWriteItems", fmt.Sprintf(`{"TransactItems":[{"Update":%s},{"Update":%s}],"ClientRequestToken":%q}`,
		adding(from, -amount, id), adding(to, amount, id), id))
	if strings.Contains(text, "TransactionInProgressException") {
		return history.Unknown, text
	}
	return judge(status, text, err), text
}

// together reads items at one moment; not ok is no information.
func (c *client) together(ctx context.Context, keys ...string) (rows []row, ok bool) {
	var gets []string
	for _, key := range keys {
		gets = append(gets, fmt.Sprintf(`{"Get":{"TableName":%q,"Key":{"k":{"S":%q}}}}`, tableName, key))
	}
	var answer struct{ Responses []struct{ Item row } }
	if c.ask(ctx, "TransactGetItems", `{"TransactItems":[`+strings.Join(gets, ",")+`]}`, &answer) != nil {
		return nil, false
	}
	for _, r := range answer.Responses {
		rows = append(rows, r.Item)
	}
	return rows, len(rows) == len(keys)
}

// row reads one item strongly.
func (c *client) row(ctx context.Context, key string) (row, error) {
	var answer struct{ Item row }
	err := c.ask(ctx, "GetItem", fmt.Sprintf(`{"TableName":%q,"ConsistentRead":true,"Key":{"k":{"S":%q}}}`, tableName, key), &answer)
	return answer.Item, err
}

// put writes a value whatever is there.
func (c *client) put(ctx context.Context, key, v string) history.Outcome {
	status, text, err := c.call(ctx, "PutItem", fmt.Sprintf(`{"TableName":%q,"Item":{"k":{"S":%q},"v":{"S":%q},"g":{"S":%q}}}`, tableName, key, v, group(v)))
	return judge(status, text, err)
}

// swap writes v if old is there, and answers with what is there if not.
func (c *client) swap(ctx context.Context, key, old, v string) (history.Outcome, string) {
	condition := `"ConditionExpression":"attribute_not_exists(k)"`
	if old != "" {
		condition = fmt.Sprintf(`"ConditionExpression":"v = :old","ExpressionAttributeValues":{":old":{"S":%q}}`, old)
	}
	status, text, err := c.call(ctx, "PutItem", fmt.Sprintf(
		`{"TableName":%q,"Item":{"k":{"S":%q},"v":{"S":%q},"g":{"S":%q}},%s,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`, tableName, key, v, group(v), condition))
	if err == nil && strings.Contains(text, "ConditionalCheckFailedException") {
		found, err := value(text)
		if err != nil {
			return history.Unknown, ""
		}
		return history.Refused, found
	}
	return judge(status, text, err), ""
}

// get reads strongly; anything but done is no information.
func (c *client) get(ctx context.Context, key string) (history.Outcome, string) {
	status, text, err := c.call(ctx, "GetItem", fmt.Sprintf(`{"TableName":%q,"ConsistentRead":true,"Key":{"k":{"S":%q}}}`, tableName, key))
	if err != nil || status != http.StatusOK {
		return history.Undone, ""
	}
	v, err := value(text)
	if err != nil {
		return history.Undone, ""
	}
	return history.Done, v
}

// judge tells the outcome of a write from its answer. Errors of 400 refuse
// before anything is done; of 500 nobody knows (I10).
func judge(status int, _ string, err error) history.Outcome {
	switch {
	case err == nil && status == http.StatusOK:
		return history.Done
	case err == nil && status == http.StatusBadRequest:
		return history.Undone
	}
	return history.Unknown
}
