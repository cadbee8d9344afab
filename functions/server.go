package functions

import (
	"net/http"
	"time"
)

// How long a client may take. A whole request is not bounded: a 16 MB batch over
// a slow line is no fault.
const (
	headerPatience = 10 * time.Second
	idlePatience   = 2 * time.Minute
)

// NewServer makes the http.Server that serves h: with bounds against clients
// that hold connections without a word.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerPatience, IdleTimeout: idlePatience}
}
