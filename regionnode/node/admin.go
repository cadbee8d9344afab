package node

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin serves what operators look at and do: /metrics, /health, /status,
// /nodes, /partitions, /debug/pprof.
type admin struct {
	server *http.Server
	addr   string
}

func startAdmin(n *Node) (*admin, error) {
	listener, err := net.Listen("tcp", n.config.Admin)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /health", n.serveHealth)
	mux.HandleFunc("GET /status", n.serveStatus)
	mux.HandleFunc("GET /nodes", n.serveMembers)
	mux.HandleFunc("POST /nodes/{name}/{action}", n.serveNodeAction)
	mux.HandleFunc("GET /partitions", n.servePartitions)
	mux.HandleFunc("POST /partitions/split", n.serveSplit)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	a := &admin{
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		addr:   listener.Addr().String(),
	}
	go func() {
		if err := a.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.config.Log.Error("admin port ended", "error", err)
		}
	}()
	return a, nil
}

func (a *admin) close() { _ = a.server.Close() }

// serveHealth answers 200 when the node can reach its region's catalog.
func (n *Node) serveHealth(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := n.registry.Nodes(ctx); err != nil {
		http.Error(w, "catalog: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (n *Node) serveStatus(w http.ResponseWriter, r *http.Request) {
	status, err := n.Status(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status)
}
