package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// layout is where each node of a cluster listens. It is kept beside the data,
// so that a node finds its peers again after a restart.
type layout struct {
	Nodes []nodePlace `json:"nodes"`
	// Founders is how many nodes of each region started it together and hold its
	// catalog; 0 and 1 are the first one.
	Founders int `json:"founders,omitempty"`
}

// nodePlace is one node's part of a layout.
type nodePlace struct {
	Region string `json:"region"`
	Name   string `json:"name"` // us-east-1-1
	Zone   string `json:"zone"`
	RPC    string `json:"rpc"`
	Gossip string `json:"gossip"`
	Admin  string `json:"admin"`

	joins bool // took another's place: it never starts a region
}

const layoutFile = "cluster.json"

// internalHost is where nodes listen for one another, whatever address clients
// are served on: rpc, gossip and administration are not protected here.
const internalHost = "127.0.0.1"

// planLayout reads the layout of an earlier start, adds what is missing, moves
// nodes whose ports somebody else took meanwhile, and saves it. Nodes of regions
// that are not started now stay in it: to the others they are down.
func planLayout(c *Config) (*layout, error) {
	old, err := loadLayout(c)
	if err != nil {
		return nil, err
	}
	if err := c.chooseNodes(old); err != nil {
		return nil, err
	}
	known := map[string]nodePlace{}
	for _, p := range old.Nodes {
		known[p.Name] = p
	}
	var ports portPicker
	defer ports.release()
	out := layout{Founders: old.Founders}
	if len(old.Nodes) == 0 && c.Replication > 1 {
		out.Founders = c.Replication
	}
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
	for _, p := range old.Nodes {
		if !slices.Contains(c.Regions, p.Region) {
			c.Log.Warn("a region of this data directory is not started: the others see it as down", "region", p.Region, "node", p.Name)
			out.Nodes = append(out.Nodes, p)
		}
	}
	return &out, saveLayout(c, old, &out)
}

// chooseNodes settles how many nodes a region has: as many as the data directory
// knows when none are asked for, and never fewer, for they hold data.
func (c *Config) chooseNodes(old *layout) error {
	most := map[string]int{}
	have := 0
	for _, p := range old.Nodes {
		if slices.Contains(c.Regions, p.Region) {
			most[p.Region]++
			have = max(have, most[p.Region])
		}
	}
	switch {
	case c.NodesPerRegion == 0:
		c.NodesPerRegion = max(have, 1)
	case c.NodesPerRegion < have:
		return fmt.Errorf("%s has data of %d nodes per region: start it with --nodes %d or more, or without --nodes", c.Dir, have, have)
	}
	if c.Replication > c.NodesPerRegion {
		return fmt.Errorf("replication %d needs as many nodes in each region, not %d", c.Replication, c.NodesPerRegion)
	}
	return nil
}

// joins is whom a node's gossip looks for, and how many nodes start the region
// with it: the first node alone, or the founders together.
func (l *layout) joins(place nodePlace) (seeds []string, expect int) {
	n := 0
	for _, p := range l.Nodes {
		if p.Region != place.Region {
			continue
		}
		if n++; p.Name == place.Name {
			if n <= l.Founders && !place.joins {
				expect = l.Founders
			}
			if l.Founders > 1 || place.joins {
				continue
			}
			break
		}
		seeds = append(seeds, p.Gossip)
	}
	return seeds, expect
}

// together tells whether a region's nodes need one another to start.
func (l *layout) together() bool { return l.Founders > 1 }

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

func saveLayout(c *Config, old, l *layout) error {
	if c.InMemory || slices.Equal(old.Nodes, l.Nodes) {
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
	held []io.Closer
}

func (p *portPicker) release() {
	for _, h := range p.held {
		_ = h.Close()
	}
}

// Ports are chosen below those that systems give to outgoing connections: one of
// those could take a port between its choice and its node's start.
const (
	firstPort = 20_000
	portCount = 10_000
)

// keepOrPick returns addr if it is free, else a free one.
func (p *portPicker) keepOrPick(addr string) (string, error) {
	if addr != "" && p.hold(addr) {
		return addr, nil
	}
	for range 100 {
		free := net.JoinHostPort(internalHost, strconv.Itoa(firstPort+rand.IntN(portCount)))
		probe, err := net.Listen("tcp", free)
		if err != nil {
			continue
		}
		if packet, err := net.ListenPacket("udp", free); err == nil {
			p.held = append(p.held, probe, packet)
			return free, nil
		}
		_ = probe.Close()
	}
	return "", errors.New("find a free port: none in 100 tries")
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
