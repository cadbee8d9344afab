package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// layout is where each node of a cluster listens. It is kept beside the data,
// so that a node finds its peers again after a restart.
type layout struct {
	Nodes []nodePlace `json:"nodes"`
}

// nodePlace is one node's part of a layout.
type nodePlace struct {
	Region string `json:"region"`
	Name   string `json:"name"` // us-east-1-1
	Zone   string `json:"zone"`
	RPC    string `json:"rpc"`
	Gossip string `json:"gossip"`
	Admin  string `json:"admin"`
}

const layoutFile = "cluster.json"

// planLayout reads the layout of an earlier start, adds what is missing, moves
// nodes whose ports somebody else took meanwhile, and saves it.
func planLayout(c *Config) (*layout, error) {
	old, err := loadLayout(c)
	if err != nil {
		return nil, err
	}
	known := map[string]nodePlace{}
	for _, p := range old.Nodes {
		known[p.Name] = p
	}
	ports := portPicker{host: c.Host}
	defer ports.release()
	var out layout
	for _, region := range c.Regions {
		for i := range c.NodesPerRegion {
			place := known[fmt.Sprintf("%s-%d", region, i+1)]
			place.Region, place.Name = region, fmt.Sprintf("%s-%d", region, i+1)
			place.Zone = region + string(rune('a'+i%3))
			for _, addr := range []*string{&place.RPC, &place.Gossip, &place.Admin} {
				if *addr, err = ports.keepOrPick(*addr); err != nil {
					return nil, err
				}
			}
			out.Nodes = append(out.Nodes, place)
		}
	}
	return &out, saveLayout(c, &out)
}

func loadLayout(c *Config) (*layout, error) {
	var l layout
	if c.InMemory {
		return &l, nil
	}
	data, err := os.ReadFile(filepath.Join(c.Dir, layoutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read layout: %w", err)
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("read layout %s: %w", filepath.Join(c.Dir, layoutFile), err)
	}
	return &l, nil
}

func saveLayout(c *Config, l *layout) error {
	if c.InMemory {
		return nil
	}
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("save layout: %w", err)
	}
	return writeFile(filepath.Join(c.Dir, layoutFile), data)
}

// writeFile replaces a file in one step.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", filepath.Dir(path), err)
	}
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// portPicker finds free ports and holds each until all are found, so that none
// is given twice. A port is good for TCP and UDP: gossip uses both.
type portPicker struct {
	host string
	held []interface{ Close() error }
}

func (p *portPicker) release() {
	for _, h := range p.held {
		_ = h.Close()
	}
}

// keepOrPick returns addr if it is free, else a free one.
func (p *portPicker) keepOrPick(addr string) (string, error) {
	if addr != "" && p.hold(addr) {
		return addr, nil
	}
	for range 100 {
		probe, err := net.Listen("tcp", net.JoinHostPort(p.host, "0"))
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		free := probe.Addr().String()
		if packet, err := net.ListenPacket("udp", free); err == nil {
			p.held = append(p.held, probe, packet)
			return free, nil
		}
		_ = probe.Close()
	}
	return "", fmt.Errorf("find a free port on %s: none in 100 tries", p.host)
}

// hold tries to take addr; a predecessor that is just ending gets a moment.
func (p *portPicker) hold(addr string) bool {
	deadline := time.Now().Add(2 * time.Second)
	for {
		tcp, err := net.Listen("tcp", addr)
		if err == nil {
			if udp, err := net.ListenPacket("udp", addr); err == nil {
				p.held = append(p.held, tcp, udp)
				return true
			}
			_ = tcp.Close()
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
}
