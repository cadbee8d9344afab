package functions

import (
	"bufio"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestConnection sends requests in every form of HTTP down one connection, which
// stays open, and checks each answer's checksum.
func TestConnection(t *testing.T) {
	server := httptest.NewServer(newTestHandler(t, Config{}))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810."
	const known, list, chunked = "Content-Length: 11\r\n\r\n", "ListTables\r\n", "Transfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		name, method, request, rest string // rest is sent once the server says that it goes on
		status                      int
	}{
		{name: "known length", request: head + list + known + `{"Limit":5}`, status: 200},
		{name: "chunked", request: head + list + chunked + "4\r\n{\"Li\r\n7\r\nmit\":5}\r\n0\r\n\r\n", status: 200},
		{name: "expects 100", request: head + list + "Expect: 100-continue\r\n" + known, rest: `{"Limit":5}`, status: 200},
		{name: "refused", request: head + list + known + `{"Limit":0}`, status: 400},
		{name: "target in another case", request: head + "listTables\r\n" + known + `{"Limit":5}`, status: 400},
		{name: "empty", request: head + list + "Content-Length: 0\r\n\r\n", status: 400},
		{name: "head", method: http.MethodHead, request: "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", status: 200},
		{name: "get", method: http.MethodGet, request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", status: 200},
		{name: "another method", method: http.MethodPut, request: "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", status: 404},
		{name: "known length again", request: head + list + known + `{"Limit":5}`, status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			if c.rest != "" {
				if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
					t.Fatalf("%q, %v", line, err)
				}
				if _, err := in.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(conn, c.rest); err != nil {
					t.Fatal(err)
				}
			}
			answer, err := http.ReadResponse(in, &http.Request{Method: c.method})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != c.status || answer.Close {
				t.Errorf("status %d, close %v, %s", answer.StatusCode, answer.Close, body)
			}
			sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)
			if got := answer.Header.Get("X-Amz-Crc32"); got != sum && c.method != http.MethodHead && c.method != http.MethodGet {
				t.Errorf("checksum %s, want %s", got, sum)
			}
			if answer.Header.Get("X-Amzn-Requestid") == "" {
				t.Error("no request id")
			}
		})
	}
}
