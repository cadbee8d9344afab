package functions

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"antipode/functions/sigv4"
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// Handler serves DynamoDB's HTTP API for the regions of its Config. It is safe
// for concurrent use and holds no state but its backends' caches.
type Handler struct {
	cfg      Config
	names    []string        // of the regions, sorted
	verifier *sigv4.Verifier // nil without credentials
}

// New makes a Handler.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg.withDefaults()}
	for name := range cfg.Regions {
		h.names = append(h.names, name)
	}
	slices.Sort(h.names)
	if cfg.Credentials != nil {
		// sigv4.New refuses only a Config without keys.
		h.verifier, _ = sigv4.New(sigv4.Config{Keys: cfg.Credentials, Now: h.cfg.Now, Hosts: cfg.Hosts})
	}
	return h
}

// call is one request on its way through an operation.
type call struct {
	ctx     context.Context
	cfg     *Config
	op      wire.Operation
	region  string
	account string // that new tables belong to
	backend Backend
	now     time.Time
	out     *wire.Writer // the answer's body; an error discards it
}

// descriptor finds the table that a request names by name or ARN. Data
// operations find a table that is being made or dropped no longer usable.
func (c *call) descriptor(nameOrARN string) (*table.Descriptor, error) {
	name, err := c.tableName(nameOrARN)
	if err != nil {
		return nil, err
	}
	d, err := c.backend.Descriptor(c.ctx, name)
	if err != nil {
		return nil, err
	}
	if d.Status == table.Creating || d.Status == table.Deleting {
		return nil, apierr.NotFound()
	}
	return d, nil
}

// envelope words an error of the request's own making as the operation words
// those: some operations report it inside the validation envelope.
func (c *call) envelope(err error) error { return c.op.Envelope(err) }

// ServeHTTP answers one request. A panic in an operation is an
// InternalServerError, and no reason to drop the connection.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := wire.RequestID(h.cfg.Random)
	header := w.Header()
	header["X-Amzn-Requestid"] = []string{id}
	defer func() {
		if p := recover(); p != nil {
			h.cfg.Logger.Error("operation panicked", "request_id", id,
				"target", r.Header.Get("X-Amz-Target"), "panic", p, "stack", string(debug.Stack()))
			h.fail(w, r, apierr.Internal())
		}
	}()
	if h.cfg.AllowOrigin != "" {
		h.allowOrigin(header, r)
	}
	switch r.Method {
	case http.MethodPost:
		h.post(w, r, id)
	case http.MethodGet, http.MethodHead:
		h.health(w, r)
	case http.MethodOptions:
		if h.cfg.AllowOrigin == "" {
			h.notFound(w)
			return
		}
		w.WriteHeader(http.StatusOK)
	default:
		h.notFound(w)
	}
}

func (h *Handler) post(w http.ResponseWriter, r *http.Request, id string) {
	body := takeBody()
	defer body.free()
	if err := body.read(r, h.cfg.MaxRequestBytes); err != nil {
		h.refuseBody(w, r, err)
		return
	}
	if mediaType(r) == "" && len(body.bytes) > 0 {
		h.notFound(w)
		return
	}
	out := wire.NewWriter()
	defer out.Free()
	if err := h.answer(r, body.bytes, out); err != nil {
		e := apierr.Of(err)
		if e == nil {
			e = h.hide(r, id, err)
		}
		h.fail(w, r, e)
		return
	}
	h.send(w, r, http.StatusOK, out.Bytes())
}

// answer runs one request into out. Its errors are *apierr.Error, or faults
// that the client must not see.
func (h *Handler) answer(r *http.Request, raw []byte, out *wire.Writer) error {
	body, err := decoded(r, raw, h.cfg.MaxRequestBytes)
	if err != nil {
		return apierr.Internal()
	}
	code, ok := wire.ParseTarget(r.Header.Get("X-Amz-Target"))
	if !ok {
		return brokenOr(unknownOperation(), body)
	}
	region, account, err := h.authenticate(r, raw)
	if err != nil {
		return brokenOr(err, body)
	}
	backend, err := h.choose(region)
	if err != nil {
		return err
	}
	op := &operations[code]
	if op.run == nil {
		return absent(code)
	}
	in, err := wire.Decode(code, body)
	if err != nil {
		return err
	}
	c := call{ctx: r.Context(), cfg: &h.cfg, op: code, region: region, account: account,
		backend: backend, now: h.cfg.Now(), out: out}
	return c.run(op, in)
}

// maxReroutes bounds how often a request is made anew because what it was based
// on had changed.
const maxReroutes = 16

// run runs the operation. A route that stays stale means that the table's name
// has a new table by now, which the backend has learnt of: the request was not
// applied, and is made anew.
func (c *call) run(op *operation, in wire.Input) error {
	for reroutes := 0; ; reroutes++ {
		err := op.run(c, in)
		var stale *regionnode.Stale
		if !errors.As(err, &stale) || reroutes == maxReroutes {
			return err
		}
		c.out.Truncate(0)
	}
}

// authenticate finds who sent the request and for which region, and refuses it
// when keys are configured and the signature does not hold.
func (h *Handler) authenticate(r *http.Request, body []byte) (region, account string, err error) {
	var id sigv4.Identity
	if h.verifier != nil {
		id, err = h.verifier.Verify(r, body)
	} else {
		id, err = sigv4.Parse(r)
		if err != nil && h.cfg.Region != "" {
			err = nil // the port names the region, and nobody asked for a signature
		}
	}
	if err != nil {
		return "", "", err
	}
	region, account = id.Region, id.Account
	if h.cfg.Region != "" {
		region = h.cfg.Region
	}
	if account == "" {
		account = h.cfg.Account
	}
	return region, account, nil
}

// choose finds a region's backend.
func (h *Handler) choose(region string) (Backend, error) {
	if b := h.cfg.Regions[region]; b != nil {
		return b, nil
	}
	return nil, apierr.Newf(apierr.InvalidSignature,
		"Credential should be scoped to a valid region, not '%s'. Served here: %s", region, strings.Join(h.names, ", "))
}

// hide logs a fault that is ours and makes the error that the client sees.
func (h *Handler) hide(r *http.Request, id string, err error) *apierr.Error {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return apierr.New(apierr.ServiceUnavailable, "The request was canceled")
	}
	h.cfg.Logger.Error("request failed", "request_id", id, "target", r.Header.Get("X-Amz-Target"), "error", err)
	return apierr.Internal()
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, e *apierr.Error) {
	h.send(w, r, e.Code.Status(), wire.AppendError(nil, e))
}

// send writes an answer with the headers that DynamoDB sends. They are set by
// canonical key, which saves net/http the work of making it. The checksum is
// that of what is sent, compressed or not. Of several Accept-Encoding headers the
// last counts.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	header := w.Header()
	header["Content-Type"] = contentType
	if mediaType(r) != wire.ContentType {
		header["Content-Type"] = plainJSON
	}
	if accept := r.Header["Accept-Encoding"]; len(accept) > 0 && len(body) >= compressFrom {
		if c := accepted(accept[len(accept)-1]); c != nil {
			body = c.compress(body)
			header["Content-Encoding"] = []string{c.name}
		}
	}
	header["Server"] = serverName
	header["X-Amz-Crc32"] = []string{wire.Checksum(body)}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	header["Date"] = []string{h.cfg.Now().UTC().Format(http.TimeFormat)}
	w.WriteHeader(status)
	// A failed write is a client that went away.
	_, _ = w.Write(body)
}

var (
	contentType = []string{wire.ContentType}
	plainJSON   = []string{"application/json"}
	serverName  = []string{"Server"}
)

// mediaType is the request's Content-Type when it is one that DynamoDB reads,
// without its parameters.
func mediaType(r *http.Request) string {
	header := r.Header["Content-Type"]
	if len(header) == 0 {
		return ""
	}
	if header[0] == wire.ContentType {
		return wire.ContentType
	}
	switch name, _, _ := strings.Cut(header[0], ";"); strings.ToLower(strings.TrimSpace(name)) {
	case wire.ContentType:
		return wire.ContentType
	case plainJSON[0]:
		return plainJSON[0]
	}
	return ""
}

// notFound answers what is no request to DynamoDB.
func (h *Handler) notFound(w http.ResponseWriter) {
	const body = "<UnknownOperationException/>\n"
	header := w.Header()
	header["X-Amz-Crc32"] = []string{wire.Checksum([]byte(body))}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, body)
}

// brokenOr is err, unless the body is no JSON: that is found first.
func brokenOr(err error, body []byte) error {
	if len(body) > 0 && !wire.IsJSON(body) {
		return apierr.New(apierr.Serialization, "")
	}
	return err
}

// refuseBody answers a request whose body could not be read or is too large.
func (h *Handler) refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	var large *bodyTooLarge
	if errors.As(err, &large) {
		e := apierr.Newf(apierr.Serialization, "HTTP content length exceeded %d bytes.", large.limit)
		h.send(w, r, http.StatusRequestEntityTooLarge, wire.AppendError(nil, e))
		return
	}
	h.fail(w, r, apierr.New(apierr.Serialization, "The request body could not be read"))
}

// health answers GET as DynamoDB's endpoints do.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	if p := r.URL.Path; p != "/" && p != "/health" && p != "/ping" {
		http.NotFound(w, r)
		return
	}
	region := h.cfg.Region
	if region == "" && len(h.names) > 0 {
		region = h.names[0]
	}
	body := "healthy: dynamodb." + region + ".amazonaws.com "
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, body)
	}
}

// allowOrigin lets pages of the configured origin call and read answers.
func (h *Handler) allowOrigin(header http.Header, r *http.Request) {
	header.Set("Access-Control-Allow-Origin", h.cfg.AllowOrigin)
	if r.Method != http.MethodOptions {
		header.Set("Access-Control-Expose-Headers", "x-amzn-RequestId, x-amz-crc32, Date")
		return
	}
	header.Set("Access-Control-Allow-Methods", "POST, GET, OPTIONS")
	header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	header.Set("Access-Control-Max-Age", "172800")
}
