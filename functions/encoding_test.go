package functions

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func gzipped(t testing.TB, s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	writeAll(t, z, s)
	return b.String()
}

func deflated(t testing.TB, s string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	writeAll(t, z, s)
	return b.String()
}

func writeAll(t testing.TB, z io.WriteCloser, s string) {
	t.Helper()
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

func postEncoded(h http.Handler, encoding, accept, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	if accept != "" {
		r.Header.Set("Accept-Encoding", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestContentEncoding(t *testing.T) {
	h := newTestHandler(t, Config{MaxRequestBytes: 4096})
	const body = `{"Limit":5}`
	for _, c := range []struct {
		name, encoding, body string
		status               int
	}{
		{"gzip", "gzip", gzipped(t, body), 200},
		{"gzip in two members", "gzip", gzipped(t, body[:4]) + gzipped(t, body[4:]), 200},
		{"gzip and junk", "gzip", gzipped(t, body) + "junk", 200},
		{"gzip cut short", "gzip", gzipped(t, body)[:20], 500},
		{"no gzip", "gzip", body, 500},
		{"empty gzip", "gzip", "", 500},
		{"deflate", "deflate", deflated(t, body), 200},
		{"no deflate", "deflate", body, 500},
		{"unknown", "garbage", body, 500},
		{"too much", "gzip", gzipped(t, body+strings.Repeat(" ", 5000)), 500},
	} {
		if w := postEncoded(h, c.encoding, "", c.body); w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
	}
}

// Answers from 4 KB are compressed for those who accept it.
func TestAcceptEncoding(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                "",
		"identity":                        "",
		"br":                              "",
		"x-gzip":                          "",
		"gzip":                            "gzip",
		"gzip, deflate":                   "gzip",
		"br, identity, deflate, gzip":     "deflate",
		"GZIP, identity":                  "gzip",
		"dog, gzip ,, cat":                "gzip",
		"gzip;q=0.8, deflate;q=0.5":       "gzip",
		"br, gzip;q=0, deflate; q = 0.5 ": "deflate",
		"*":                               "gzip",
		"*, deflate;q=0.5":                "gzip",
		"*, deflate":                      "deflate",
		"*, gzip;q=0.5":                   "deflate",
		"*;q=0.5,identity":                "gzip",
		"*;q=0":                           "",
		"gzip ;q=0":                       "",
		"gzip;q=0.5,identity;q=0.8":       "gzip",
		"gzip br":                         "",
		"gzip;q=31,deflate;q=51":          "gzip",
		"deflate;q=0.5, gzip;q=0.2":       "deflate",
		"deflate;q=0.5, gzip;q=1;q=0.2":   "gzip",
		"deflate;q=0.5,gzip;q=0.":         "deflate",
		"deflate;q=0.5,gzip;q=0.x":        "gzip",
		"deflate;q=-0.5,gzip;q=0.2":       "gzip",
		"gzip;q= 0;q=1":                   "",
		"gzip;q =0;q=1":                   "gzip",
		"gzip;nq=0;q=1":                   "",
		"gzip;q=0, gzip;q=1, gzip;q=0":    "gzip",
		"br,identity;q=0.5,gzip;q=0.0001": "gzip",
	} {
		got := ""
		if c := accepted(accept); c != nil {
			got = c.name
		}
		if got != want {
			t.Errorf("%q gets %q, want %q", accept, got, want)
		}
	}
}

func TestCompressedAnswer(t *testing.T) {
	h := New(Config{})
	long := strings.Repeat("x", compressFrom)
	for encoding, reader := range map[string]func(io.Reader) (io.Reader, error){
		"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"deflate": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		h.send(w, r, http.StatusOK, []byte(long))
		header := w.Header()
		if header.Get("Content-Encoding") != encoding || header.Get("Content-Length") != strconv.Itoa(w.Body.Len()) ||
			header.Get("X-Amz-Crc32") != strconv.FormatUint(uint64(crc32.ChecksumIEEE(w.Body.Bytes())), 10) {
			t.Errorf("%s: %v of %d bytes", encoding, header, w.Body.Len())
		}
		z, err := reader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != long {
			t.Errorf("%s: %d bytes, %v", encoding, len(got), err)
		}
		w = httptest.NewRecorder()
		h.send(w, r, http.StatusOK, []byte(long[1:]))
		if w.Header().Get("Content-Encoding") != "" || w.Body.Len() != compressFrom-1 {
			t.Errorf("%s: a short answer is compressed", encoding)
		}
	}
}

func TestLastAcceptEncodingCounts(t *testing.T) {
	h := New(Config{})
	long := []byte(strings.Repeat("x", compressFrom))
	for want, accept := range map[string][]string{"gzip": {"identity", "gzip"}, "": {"gzip", "identity"}} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header["Accept-Encoding"] = accept
		w := httptest.NewRecorder()
		h.send(w, r, http.StatusOK, long)
		if got := w.Header().Get("Content-Encoding"); got != want {
			t.Errorf("%v: encoded as %q, want %q", accept, got, want)
		}
	}
}
