package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"antipode/localstack/cluster"
	"antipode/regionnode/node"
)

// nodeFlags say where a running system is, and what to do there.
type nodeFlags struct {
	data   string
	admins []string
	region string
	json   bool
	noWait bool
}

func nodeCommand() *cobra.Command {
	var f nodeFlags
	cmd := &cobra.Command{
		Use:   "node",
		Short: "list, drain and remove the storage nodes of a running system",
		Long: `node shows a region's storage nodes and takes them out of service.

A node that does not answer for --replace-after (of 'antipode up' and regionnode)
loses its replicas to others by itself. drain takes them from a node that serves,
without a failed request; remove takes out a node that holds nothing, or that is
dead for good.`,
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.data, "data", defaultDir, "data directory of the running system")
	flags.StringSliceVar(&f.admins, "admin", nil, "admin URLs of nodes, instead of --data")
	flags.StringVar(&f.region, "region", "", "region of the node, where its name alone does not tell")
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "show nodes, what they hold and what is on its way", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.list(cmd.Context(), os.Stdout) },
	}
	list.Flags().BoolVar(&f.json, "json", false, "print JSON")
	drain := &cobra.Command{
		Use: "drain NODE", Short: "move everything away from a node while it serves", Args: cobra.ExactArgs(1),
		Long: `drain hands the node's leaderships to others, moves its replicas to other nodes,
and ends when it holds nothing. It shows how far that is; Ctrl-C ends watching,
not the drain: 'antipode node undrain' does. Without another node that can take
them, replicas stay, and drain waits and says so.`,
		Example: "  antipode node drain us-east-1-2",
		RunE:    func(cmd *cobra.Command, args []string) error { return f.drain(cmd.Context(), os.Stdout, args[0]) },
	}
	undrain := &cobra.Command{
		Use: "undrain NODE", Short: "let a node have replicas again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := f.order(cmd.Context(), args[0], "undrain")
			return err
		},
	}
	remove := &cobra.Command{
		Use: "remove NODE", Short: "take a node out of its region for good", Args: cobra.ExactArgs(1),
		Long: `remove takes a node out of its region for good: one that holds nothing (drain it
first), or one that is dead, whose replicas are then made on other nodes at once.
Its disk is not let in again; an empty one is, as a new node.`,
		Example: "  antipode node remove us-east-1-2",
		RunE:    func(cmd *cobra.Command, args []string) error { return f.remove(cmd.Context(), os.Stdout, args[0]) },
	}
	for _, c := range []*cobra.Command{drain, remove} {
		c.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait until it is done")
	}
	cmd.AddCommand(list, drain, undrain, remove)
	return cmd
}

// places are the admin URLs to ask.
func (f *nodeFlags) places() ([]string, error) {
	if len(f.admins) > 0 {
		return f.admins, nil
	}
	info, err := cluster.Running(f.data)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range info.Regions {
		for _, n := range r.Nodes {
			out = append(out, n.Admin)
		}
	}
	return out, nil
}

// regions asks one node of each region that answers.
func (f *nodeFlags) regions(ctx context.Context) (map[string]*node.Members, map[string]string, error) {
	places, err := f.places()
	if err != nil {
		return nil, nil, err
	}
	found, via := map[string]*node.Members{}, map[string]string{}
	var errs []error
	for _, admin := range places {
		m, err := members(ctx, admin)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if found[m.Region] == nil && (f.region == "" || f.region == m.Region) {
			found[m.Region], via[m.Region] = m, admin
		}
	}
	if len(found) == 0 {
		return nil, nil, errors.Join(append(errs, errors.New("no region answers"))...)
	}
	return found, via, nil
}

// askPatience bounds one question to a node.
const askPatience = 12 * time.Second

func members(ctx context.Context, admin string) (*node.Members, error) {
	body, err := callAdmin(ctx, http.MethodGet, admin, "/nodes")
	if err != nil {
		return nil, err
	}
	var m node.Members
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", admin, err)
	}
	return &m, nil
}

func callAdmin(ctx context.Context, method, admin, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(admin, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", admin, err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", admin, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", admin, err)
	}
	if answer.StatusCode >= 300 {
		return nil, errors.New(string(bytes.TrimSpace(body)))
	}
	return body, nil
}

func (f *nodeFlags) list(ctx context.Context, w io.Writer) error {
	found, _, err := f.regions(ctx)
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(w).Encode(found)
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "REGION\tNODE\tZONE\tSTATE\tREPLICAS\tCOMING\tGOING\tLEADS\tRPC")
	for _, region := range sortedKeys(found) {
		for _, n := range found[region].Nodes {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", region, n.Name, n.Zone, stateOf(&n), n.Replicas, n.Coming, n.Going, max(n.Led, 0), n.RPC)
		}
	}
	return table.Flush()
}

// stateOf is a node's state for a person.
func stateOf(n *node.RegionMember) string {
	state := n.State
	if state == "silent" {
		state += " for " + (time.Duration(n.SilentMillis) * time.Millisecond).Round(time.Second).String()
	}
	switch {
	case n.Removing:
		state += ", being removed"
	case n.Draining && n.Empty():
		state += ", drained"
	case n.Draining:
		state += ", draining"
	}
	if n.Waits != "" {
		state += " (waits: " + n.Waits + ")"
	}
	return state
}

// order has a node drained, undrained or removed, and answers with whom to ask
// about it.
func (f *nodeFlags) order(ctx context.Context, name, action string) (admin string, err error) {
	found, via, err := f.regions(ctx)
	if err != nil {
		return "", err
	}
	for region, m := range found {
		for _, n := range m.Nodes {
			if n.Name != name {
				continue
			}
			if admin != "" {
				return "", fmt.Errorf("several regions have a node %s: name one with --region", name)
			}
			admin = via[region]
		}
	}
	if admin == "" {
		return "", fmt.Errorf("no region that answers has a node %s", name)
	}
	_, err = callAdmin(ctx, http.MethodPost, admin, "/nodes/"+name+"/"+action)
	return admin, err
}

func (f *nodeFlags) drain(ctx context.Context, w io.Writer, name string) error {
	if _, err := f.order(ctx, name, "drain"); err != nil || f.noWait {
		return err
	}
	err := f.watch(ctx, w, name, func(n *node.RegionMember) (string, bool) {
		if n == nil {
			return name + " is gone", true
		}
		if !n.Draining && !n.Removing {
			return name + " is not draining any more", true
		}
		if n.Empty() {
			return name + " holds nothing any more", true
		}
		return progressOf(n), false
	})
	if ctx.Err() != nil {
		fmt.Fprintf(w, "the drain goes on; 'antipode node undrain %s' ends it\n", name)
	}
	return err
}

func (f *nodeFlags) remove(ctx context.Context, w io.Writer, name string) error {
	if _, err := f.order(ctx, name, "remove"); err != nil || f.noWait {
		return err
	}
	err := f.watch(ctx, w, name, func(n *node.RegionMember) (string, bool) {
		if n == nil {
			return name + " is removed", true
		}
		return progressOf(n), false
	})
	if ctx.Err() != nil {
		fmt.Fprintln(w, "the removal goes on")
	}
	return err
}

func progressOf(n *node.RegionMember) string {
	line := fmt.Sprintf("%s: %d replicas left, %d of them on their way, leads %d", n.Name, max(n.Replicas, n.Held), n.Going, max(n.Led, 0))
	if n.Waits != "" {
		line += "; waits: " + n.Waits
	}
	return line
}

// watchPause is the pause between two looks at a node.
const watchPause = 500 * time.Millisecond

// watch prints a line for each change until describe says that it is over. Nodes
// may come and go meanwhile: it asks whoever answers.
func (f *nodeFlags) watch(ctx context.Context, w io.Writer, name string, describe func(*node.RegionMember) (string, bool)) error {
	last := ""
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	for {
		line, over := "", false
		if found, _, err := f.regions(ctx); err == nil {
			var at *node.RegionMember
			for _, m := range found {
				for i := range m.Nodes {
					if m.Nodes[i].Name == name {
						at = &m.Nodes[i]
					}
				}
			}
			line, over = describe(at)
		} else if ctx.Err() == nil {
			line = "the region does not answer: " + err.Error()
		}
		if line != "" && line != last {
			fmt.Fprintln(w, line)
			last = line
		}
		if over {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
