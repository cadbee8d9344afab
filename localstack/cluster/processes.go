package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"antipode/functions"
	"antipode/regionnode/client"
	"antipode/regionnode/node"
)

// startProcesses runs each node, and each region's functions, as a process.
// This process keeps the shared port.
func (c *Cluster) startProcesses(ctx context.Context, plan *layout, d *doors) error {
	for _, name := range []string{"regionnode", "api"} {
		if _, err := os.Stat(filepath.Join(c.config.Binaries, name)); err != nil {
			return fmt.Errorf("--processes needs %s beside antipode (make build makes both): %w", name, err)
		}
	}
	regions := map[string]functions.Backend{}
	for i, region := range c.config.Regions {
		info, seeds, err := c.startNodes(ctx, plan, region)
		if err != nil {
			return err
		}
		// The door was only held to keep its port.
		if err := d.regions[i].Close(); err != nil {
			return fmt.Errorf("hand over port of %s: %w", region, err)
		}
		api, err := c.startAPI(ctx, region, d.ports[i], seeds)
		if err != nil {
			return err
		}
		backend, err := client.New(client.Config{Seeds: seeds, Silence: c.config.silence()})
		if err != nil {
			return fmt.Errorf("functions of %s: %w", region, err)
		}
		c.closers = append(c.closers, backend.Close)
		regions[region] = backend
		c.addRegion(RegionInfo{
			Region: region, Endpoint: "http://" + d.ports[i], PID: api.pid(), Nodes: info,
		})
	}
	c.serveShared(d, regions)
	return nil
}

// startNodes starts a region's nodes, the first one first, or all together.
func (c *Cluster) startNodes(ctx context.Context, plan *layout, region string) (info []NodeInfo, seeds []string, err error) {
	var places []nodePlace
	var processes []*process
	for _, place := range plan.Nodes {
		if place.Region != region {
			continue
		}
		args, err := c.nodeArgs(plan, place)
		if err != nil {
			return nil, nil, err
		}
		p, err := c.begin(place.Name, "regionnode", args)
		if err != nil {
			return nil, nil, err
		}
		places, processes = append(places, place), append(processes, p)
		if plan.together() {
			continue
		}
		if err := p.await(ctx); err != nil {
			return nil, nil, err
		}
	}
	for i, place := range places {
		p := processes[i]
		if plan.together() {
			if err := p.await(ctx); err != nil {
				return nil, nil, err
			}
		}
		var ready node.Ready
		if err := json.Unmarshal(p.ready, &ready); err != nil {
			return nil, nil, fmt.Errorf("ready line of %s: %w", place.Name, err)
		}
		seeds = append(seeds, ready.RPC)
		info = append(info, NodeInfo{
			ID: ready.ID, Name: place.Name, Zone: place.Zone, PID: p.pid(),
			Admin: "http://" + ready.Admin, RPC: ready.RPC,
		})
	}
	return info, seeds, nil
}

func (c *Cluster) nodeArgs(plan *layout, place nodePlace) ([]string, error) {
	args := []string{
		"--region", place.Region, "--name", place.Name, "--zone", place.Zone,
		"--listen", place.RPC, "--admin", place.Admin, "--gossip", place.Gossip,
		"--data", filepath.Join(c.config.Dir, place.Name),
		"--log-level", c.config.LogLevel.String(),
		"--in-memory=" + strconv.FormatBool(c.config.InMemory),
	}
	if c.config.Partitions > 0 {
		args = append(args, "--partitions", strconv.Itoa(c.config.Partitions))
	}
	if c.config.CollectionSize != 0 {
		args = append(args, "--collection-size", c.config.CollectionSize.String())
	}
	if c.config.Splits != node.DefaultSplits {
		args = append(args, "--split-size", c.config.Splits.Size.String(), "--split-load", strconv.Itoa(c.config.Splits.Load))
	}
	if c.config.IndexGrace > 0 {
		args = append(args, "--index-grace", c.config.IndexGrace.String())
	}
	seeds, expect := plan.joins(place)
	if len(seeds) > 0 {
		args = append(args, "--join", strings.Join(seeds, ","))
	}
	if expect > 0 {
		args = append(args, "--bootstrap-expect", strconv.Itoa(expect))
	}
	if c.config.Replication > 1 {
		args = append(args, "--replication", strconv.Itoa(c.config.Replication))
	}
	if c.config.ReplaceAfter > 0 {
		args = append(args, "--replace-after", c.config.ReplaceAfter.String())
	}
	for region, addrs := range plan.peers(place.Region) {
		args = append(args, "--peer", string(region)+"="+strings.Join(addrs, ","))
	}
	if c.config.NodeArgs != nil {
		more, err := c.config.NodeArgs(place.Name, place.RPC)
		if err != nil {
			return nil, fmt.Errorf("arguments of %s: %w", place.Name, err)
		}
		args = append(args, more...)
	}
	return args, nil
}

// functionsName is what a region's functions are called among the processes.
func functionsName(region string) string { return "functions of " + region }

func (c *Cluster) startAPI(ctx context.Context, region, listen string, seeds []string) (*process, error) {
	args := []string{"--region", region, "--listen", listen, "--nodes", strings.Join(seeds, ",")}
	if s := c.config.silence(); s > 0 {
		args = append(args, "--node-silence", s.String())
	}
	var pairs []string
	for key, secret := range c.config.Credentials {
		pairs = append(pairs, key+":"+secret)
	}
	var env []string
	if len(pairs) > 0 {
		env = append(env, "ANTIPODE_CREDENTIALS="+strings.Join(pairs, ","))
	}
	return c.supervise(ctx, functionsName(region), "api", args, env...)
}
