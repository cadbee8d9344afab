package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"antipode/functions"
)

// A function URL's answer, as the runtime gets it, has at most 6 MB. Bodies go
// out in base64, which makes four bytes of three, so an answer is bounded such
// that it takes 5.5 MB then.
const maxLambdaBody = 5632 << 10 / 4 * 3

// serveLambda answers the events of a function URL until the runtime ends the
// process.
func serveLambda(ctx context.Context, o *options, log *slog.Logger) error {
	backend, err := o.connect(log)
	if err != nil {
		return fmt.Errorf("connect to nodes: %w", err)
	}
	config := o.config(backend, log)
	config.MaxResponseBytes = maxLambdaBody
	handler := functions.New(config)
	lambda.StartWithOptions(func(ctx context.Context, e events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
		return answer(ctx, handler, &e)
	}, lambda.WithContext(ctx), lambda.WithEnableSIGTERM(func() { backend.Close() }))
	return nil
}

// answer runs one event through the handler.
func answer(ctx context.Context, h http.Handler, e *events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
	r, err := request(ctx, e)
	if err != nil {
		return events.LambdaFunctionURLResponse{}, err
	}
	a := answerWriter{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(&a, r)
	headers := make(map[string]string, len(a.header))
	for name, values := range a.header {
		headers[name] = values[0]
	}
	return events.LambdaFunctionURLResponse{
		StatusCode:      a.status,
		Headers:         headers,
		Body:            base64.StdEncoding.EncodeToString(a.body.Bytes()),
		IsBase64Encoded: true,
	}, nil
}

// request is the event as the client sent it to the function URL. Signatures
// cover the Host header, which is the URL's.
func request(ctx context.Context, e *events.LambdaFunctionURLRequest) (*http.Request, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, fmt.Errorf("decode event body: %w", err)
		}
	}
	u := &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	if u.Path == "" {
		u.Path = "/"
	}
	header := make(http.Header, len(e.Headers))
	for name, value := range e.Headers {
		header[textproto.CanonicalMIMEHeaderKey(name)] = []string{value}
	}
	r := &http.Request{
		Method:        e.RequestContext.HTTP.Method,
		URL:           u,
		Host:          header.Get("Host"),
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
	}
	delete(header, "Host")
	return r.WithContext(ctx), nil
}

// answerWriter collects a handler's answer.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is the answer's header.
func (a *answerWriter) Header() http.Header { return a.header }

// WriteHeader sets the status.
func (a *answerWriter) WriteHeader(status int) { a.status = status }

// Write appends to the body.
func (a *answerWriter) Write(b []byte) (int, error) { return a.body.Write(b) }
