package sigv4

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"antipode/regionnode/apierr"
)

// maxExpires is how long a signature in the query may hold.
const maxExpires = 7 * 24 * time.Hour

// presigned tells whether a request carries its signature in the query.
func presigned(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, queryAlgorithm) && r.URL.Query().Has(queryAlgorithm)
}

// The parameters of a signature in the query.
const (
	queryAlgorithm  = "X-Amz-Algorithm"
	queryCredential = "X-Amz-Credential"
	querySignature  = "X-Amz-Signature"
	querySigned     = "X-Amz-SignedHeaders"
	queryDate       = "X-Amz-Date"
	queryExpires    = "X-Amz-Expires"
	queryToken      = "X-Amz-Security-Token" //nolint:gosec // a parameter's name
)

// parseQuery takes the query's signature and checks that nothing is missing.
func parseQuery(query url.Values) (authorization, error) {
	var gaps strings.Builder
	for _, name := range [...]string{queryAlgorithm, queryCredential, querySignature, querySigned, queryDate} {
		if query.Get(name) == "" {
			gaps.WriteString("AWS query-string parameters must include '" + name + "'. ")
		}
	}
	if gaps.Len() > 0 {
		return authorization{}, apierr.New(apierr.IncompleteSignature, gaps.String()+"Re-examine the query-string parameters.")
	}
	return authorization{
		algorithm: query.Get(queryAlgorithm), credential: query.Get(queryCredential),
		signed: query.Get(querySigned), signature: query.Get(querySignature),
		date: query.Get(queryDate), token: query.Get(queryToken), lifetime: lifetime(query.Get(queryExpires)), query: true,
	}, nil
}

// lifetime reads X-Amz-Expires, in seconds; 0 for none that holds.
func lifetime(seconds string) time.Duration {
	n, err := strconv.ParseInt(seconds, 10, 32)
	if err != nil || n <= 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxExpires)
}
