package functions

import (
	"context"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"antipode/regionnode/table"
)

// signedFor is an Authorization header for a region; nobody verifies it.
func signedFor(region string) string {
	return "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/" + region + "/dynamodb/aws4_request, " +
		"SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)
}

func post(h http.Handler, target, auth, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// broken is a backend that has no answers: whoever asks it panics.
type broken struct{ Backend }

func (broken) Descriptor(context.Context, string) (*table.Descriptor, error) { panic("broken backend") }

func TestRefusals(t *testing.T) {
	h := New(Config{Regions: map[string]Backend{"us-east-1": broken{}}})
	const v = "DynamoDB_20120810."
	for _, c := range []struct {
		name, target, auth, body string
		status                   int
		want                     string
	}{
		{"no target", "", signedFor("us-east-1"), "{}", 400,
			`{"__type":"com.amazon.coral.service#UnknownOperationException"}`},
		{"unknown operation", v + "PutItems", signedFor("us-east-1"), "{}", 400,
			`{"__type":"com.amazon.coral.service#UnknownOperationException"}`},
		{"absent operation", v + "CreateBackup", signedFor("us-east-1"), "{}", 400,
			`{"__type":"com.amazon.coral.service#UnknownOperationException","message":"CreateBackup is not available in antipode"}`},
		{"no signature", v + "GetItem", "", "{}", 400,
			`{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}`},
		{"region not served", v + "GetItem", signedFor("eu-west-1"), "{}", 400,
			`{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Credential should be scoped to a valid region, not 'eu-west-1'. Served here: us-east-1"}`},
		{"broken JSON before all else", "", "", "hi", 400,
			`{"__type":"com.amazon.coral.service#SerializationException"}`},
		{"null", v + "ListTables", signedFor("us-east-1"), "null", 400,
			`{"__type":"com.amazon.coral.service#SerializationException"}`},
		{"broken JSON", v + "GetItem", signedFor("us-east-1"), "{", 400,
			`{"__type":"com.amazon.coral.service#SerializationException"}`},
		{"panic", v + "GetItem", signedFor("us-east-1"), `{"TableName":"abc","Key":{"k":{"S":"a"}}}`, 500,
			`{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := post(h, c.target, c.auth, c.body)
			if got := w.Body.String(); w.Code != c.status || got != c.want {
				t.Errorf("got %d %s\nwant %d %s", w.Code, got, c.status, c.want)
			}
			checkHeaders(t, w)
		})
	}
}

// checkHeaders holds an answer against what every answer of DynamoDB carries.
func checkHeaders(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	header := w.Header()
	want := map[string]string{
		"Content-Type":   "application/x-amz-json-1.0",
		"Server":         "Server",
		"Content-Length": strconv.Itoa(w.Body.Len()),
		"X-Amz-Crc32":    strconv.FormatUint(uint64(crc32.ChecksumIEEE(w.Body.Bytes())), 10),
	}
	for name, value := range want {
		if got := header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if id := header.Get("X-Amzn-RequestId"); len(id) != 52 {
		t.Errorf("request id %q has not 52 characters", id)
	}
	if _, err := http.ParseTime(header.Get("Date")); err != nil {
		t.Errorf("Date: %v", err)
	}
}

// What is no request of the protocol is answered as by a web server that knows
// nothing else.
func TestNotFound(t *testing.T) {
	h := New(Config{Regions: map[string]Backend{"us-east-1": broken{}}})
	for _, c := range []struct{ method, contentType, body string }{
		{http.MethodPut, "application/x-amz-json-1.0", "{}"},
		{http.MethodDelete, "", ""},
		{http.MethodOptions, "", ""},
		{http.MethodPost, "", "{}"},
		{http.MethodPost, "whatever", "{}"},
		{http.MethodPost, "application/jsonasdf", "{}"},
		{http.MethodPost, "application/x-amz-json-1.1", "{}"},
	} {
		r := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound || w.Body.String() != "<UnknownOperationException/>\n" ||
			w.Header().Get("X-Amz-Crc32") != "3552371480" {
			t.Errorf("%s %q: %d %s %v", c.method, c.contentType, w.Code, w.Body, w.Header())
		}
	}
}

// The answer is of the request's type.
func TestContentType(t *testing.T) {
	h := New(Config{Regions: map[string]Backend{"us-east-1": broken{}}})
	for sent, want := range map[string]string{
		"application/x-amz-json-1.0":          "application/x-amz-json-1.0",
		"application/x-amz-json-1.0;blahblah": "application/x-amz-json-1.0",
		"  application/json  ;   asfd":        "application/json",
		"application/json":                    "application/json",
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("hi"))
		r.Header.Set("Content-Type", sent)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); got != want || w.Code != http.StatusBadRequest {
			t.Errorf("%q is answered as %q, %d", sent, got, w.Code)
		}
	}
}

func TestPanicIsLogged(t *testing.T) {
	var log strings.Builder
	h := New(Config{
		Regions: map[string]Backend{"us-east-1": broken{}},
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	post(h, "DynamoDB_20120810.GetItem", signedFor("us-east-1"), `{"TableName":"abc","Key":{"k":{"S":"a"}}}`)
	for _, want := range []string{"broken backend", "DynamoDB_20120810.GetItem", "request_id="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log has no %q:\n%s", want, log.String())
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	h := New(Config{Regions: map[string]Backend{"us-east-1": broken{}}, MaxRequestBytes: 64})
	const want = `{"__type":"com.amazon.coral.service#SerializationException","Message":"HTTP content length exceeded 64 bytes."}`
	for name, body := range map[string]io.Reader{
		"declared": strings.NewReader(strings.Repeat("x", 65)),
		"chunked":  io.LimitReader(neverEnding('x'), 65),
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", body))
			if w.Code != http.StatusRequestEntityTooLarge || w.Body.String() != want {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestHealth(t *testing.T) {
	h := New(Config{Regions: map[string]Backend{"us-east-1": broken{}, "eu-west-1": broken{}}, Region: "us-east-1"})
	for path, status := range map[string]int{"/": 200, "/health": 200, "/elsewhere": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status {
			t.Errorf("GET %s: %d, want %d", path, w.Code, status)
		}
		if want := "healthy: dynamodb.us-east-1.amazonaws.com "; status == 200 && w.Body.String() != want {
			t.Errorf("GET %s: %q, want %q", path, w.Body, want)
		}
	}
}

// A port of a region serves that region, whatever the signature says, and needs
// none.
func TestOwnPortChoosesRegion(t *testing.T) {
	h := New(Config{Regions: map[string]Backend{"us-east-1": broken{}}, Region: "us-east-1"})
	for _, auth := range []string{"", signedFor("eu-west-1")} {
		w := post(h, "DynamoDB_20120810.DescribeEndpoints", auth, "{}")
		if want := `{"Endpoints":[{"Address":"dynamodb.us-east-1.amazonaws.com","CachePeriodInMinutes":1440}]}`; w.Body.String() != want {
			t.Errorf("with signature %q: %s", auth, w.Body)
		}
	}
}

// With credentials, a signature that nobody made is refused.
func TestSignatureIsVerified(t *testing.T) {
	h := New(Config{
		Regions:     map[string]Backend{"us-east-1": broken{}},
		Region:      "us-east-1",
		Credentials: StaticCredentials(map[string]string{"AKIDEXAMPLE": "secret"}),
		Now:         func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	})
	w := post(h, "DynamoDB_20120810.DescribeEndpoints", signedFor("us-east-1"), "{}")
	if !strings.Contains(w.Body.String(), "InvalidSignatureException") || w.Code != 400 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := post(h, "DynamoDB_20120810.DescribeEndpoints", "", "{}"); !strings.Contains(w.Body.String(), "MissingAuthenticationToken") {
		t.Errorf("unsigned: got %d %s", w.Code, w.Body)
	}
}

func TestBrowsers(t *testing.T) {
	h := New(Config{Regions: map[string]Backend{"us-east-1": broken{}}, AllowOrigin: "https://example.com"})
	r := httptest.NewRequest(http.MethodOptions, "/", nil)
	r.Header.Set("Access-Control-Request-Headers", "x-amz-target")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "https://example.com" ||
		w.Header().Get("Access-Control-Allow-Headers") != "x-amz-target" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	New(Config{}).ServeHTTP(w, httptest.NewRequest(http.MethodOptions, "/", nil))
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("allows origins without being configured to")
	}
}
