package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func echoHTTP(w http.ResponseWriter, r *http.Request) {
	b := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, b); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}

func serveHTTP1(ln net.Listener, conf *tls.Config) {
	_ = (&http.Server{Handler: http.HandlerFunc(echoHTTP)}).Serve(maybeTLS(ln, conf))
}

func dialHTTP1(addr string, conf *tls.Config) (call, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, TLSClientConfig: conf}}
	url := scheme(conf) + addr + "/echo"
	return func(ctx context.Context, req []byte) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(req))
		if err != nil {
			return nil, err
		}
		answer, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("status %d", answer.StatusCode)
		}
		return io.ReadAll(answer.Body)
	}, nil
}

func scheme(conf *tls.Config) string {
	if conf == nil {
		return "http://"
	}
	return "https://"
}

// serveConnect speaks Connect's unary protocol over HTTP/2, without TLS by prior
// knowledge.
func serveConnect(ln net.Listener, conf *tls.Config) {
	h := connect.NewUnaryHandler("/bench/echo",
		func(_ context.Context, r *connect.Request[wrapperspb.BytesValue]) (*connect.Response[wrapperspb.BytesValue], error) {
			return connect.NewResponse(r.Msg), nil
		})
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP2(true)
	if conf != nil {
		conf = conf.Clone()
		conf.NextProtos = []string{"h2"}
		s.TLSConfig = conf
		_ = s.ServeTLS(ln, "", "")
		return
	}
	_ = s.Serve(ln)
}

func dialConnect(addr string, conf *tls.Config) (call, error) {
	t := &http.Transport{TLSClientConfig: conf, Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(conf == nil)
	t.Protocols.SetHTTP2(conf != nil)
	client := connect.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](
		&http.Client{Transport: t}, scheme(conf)+addr+"/bench/echo")
	return func(ctx context.Context, req []byte) ([]byte, error) {
		answer, err := client.CallUnary(ctx, connect.NewRequest(&wrapperspb.BytesValue{Value: req}))
		if err != nil {
			return nil, err
		}
		return answer.Msg.Value, nil
	}, nil
}
