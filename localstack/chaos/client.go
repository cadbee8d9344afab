package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
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

// tableName is the table under test.
const tableName = "chaos"

// answer is what this package reads of answers.
type answer struct {
	Item map[string]map[string]string `json:"Item"`
}

// value is the register's value in an answer, "" when there is no item.
func value(text string) (string, error) {
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return "", fmt.Errorf("answer %q: %w", text, err)
	}
	return a.Item["v"]["S"], nil
}

// put writes a value whatever is there.
func (c *client) put(ctx context.Context, key, v string) history.Outcome {
	status, text, err := c.call(ctx, "PutItem", fmt.Sprintf(`{"TableName":%q,"Item":{"k":{"S":%q},"v":{"S":%q}}}`, tableName, key, v))
	return judge(status, text, err)
}

// swap writes v if old is there, and answers with what is there if not.
func (c *client) swap(ctx context.Context, key, old, v string) (history.Outcome, string) {
	condition := `"ConditionExpression":"attribute_not_exists(k)"`
	if old != "" {
		condition = fmt.Sprintf(`"ConditionExpression":"v = :old","ExpressionAttributeValues":{":old":{"S":%q}}`, old)
	}
	status, text, err := c.call(ctx, "PutItem", fmt.Sprintf(
		`{"TableName":%q,"Item":{"k":{"S":%q},"v":{"S":%q}},%s,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`, tableName, key, v, condition))
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
