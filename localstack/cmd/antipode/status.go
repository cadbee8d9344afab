package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"antipode/localstack/cluster"
	"antipode/regionnode/node"
)

func statusCommand() *cobra.Command {
	var data string
	var admins []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show regions, nodes, tables, links and replication lag of a running system",
		Long: `status asks every node of a running system for its view and prints regions,
nodes, tables and the links between regions with their lag. It finds the nodes
through the data directory of 'antipode up', or through --admin.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(admins) == 0 {
				info, err := cluster.Running(data)
				if err != nil {
					return err
				}
				for _, r := range info.Regions {
					for _, n := range r.Nodes {
						admins = append(admins, n.Admin)
					}
				}
			}
			views := askAll(cmd.Context(), admins)
			if asJSON {
				return json.NewEncoder(os.Stdout).Encode(views)
			}
			printStatus(os.Stdout, views)
			return failures(views)
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultDir, "data directory of the running system")
	cmd.Flags().StringSliceVar(&admins, "admin", nil, "admin URLs of nodes, instead of --data")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the nodes' answers as JSON")
	return cmd
}

// view is one node's answer, or why there is none.
type view struct {
	Admin  string       `json:"admin"`
	Status *node.Status `json:"status,omitempty"`
	Error  string       `json:"error,omitempty"`
}

// askAll asks every node at once and waits for all, a few seconds at most.
func askAll(ctx context.Context, admins []string) []view {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	views := make([]view, len(admins))
	done := make(chan struct{})
	for i, admin := range admins {
		go func() {
			defer func() { done <- struct{}{} }()
			views[i].Admin = admin
			status, err := ask(ctx, admin)
			if err != nil {
				views[i].Error = err.Error()
				return
			}
			views[i].Status = status
		}()
	}
	for range admins {
		<-done
	}
	return views
}

func ask(ctx context.Context, admin string) (*node.Status, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(admin, "/")+"/status", nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", admin, err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", admin, err)
	}
	defer answer.Body.Close()
	var status node.Status
	if err := json.NewDecoder(io.LimitReader(answer.Body, 64<<20)).Decode(&status); err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", admin, err)
	}
	return &status, nil
}

func failures(views []view) error {
	var errs []error
	for _, v := range views {
		if v.Error != "" {
			errs = append(errs, errors.New(v.Error))
		}
	}
	return errors.Join(errs...)
}

func printStatus(w io.Writer, views []view) {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "REGION\tNODE\tZONE\tSTATE\tPARTITIONS\tLEADS\tITEMS\tADMIN")
	for _, v := range views {
		s := v.Status
		if s == nil {
			fmt.Fprintf(table, "?\t?\t?\tunreachable\t\t\t\t%s\n", v.Admin)
			continue
		}
		state := "up"
		if s.Catalog {
			state = "up, leads catalog"
		}
		if s.Draining {
			state += ", draining"
		}
		var leads, away, stranded int
		var items int64
		for _, p := range s.Partitions {
			if p.Leader == s.ID {
				leads++
				items += p.Items
				away += len(p.Away)
				stranded += len(p.Stranded)
			}
		}
		if away > 0 {
			state += fmt.Sprintf(", %d replicas elsewhere away", away)
		}
		if stranded > 0 {
			state += fmt.Sprintf(", %d STRANDED", stranded)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", s.Region, s.Name, s.Zone, state, len(s.Partitions), leads, items, v.Admin)
	}
	_ = table.Flush()
	printMoves(w, views)
	printTables(w, views)
	printLinks(w, views)
}

// printMoves says which regions have replicas on their way to other nodes.
func printMoves(w io.Writer, views []view) {
	moving := map[string]int{}
	for _, v := range views {
		if v.Status != nil && v.Status.Moving > 0 {
			moving[v.Status.Region] = max(moving[v.Status.Region], v.Status.Moving)
		}
	}
	for _, region := range sortedKeys(moving) {
		fmt.Fprintf(w, "\n%s: %d replicas are on their way to other nodes ('antipode node list' shows more)\n", region, moving[region])
	}
}

// printTables prints each region's tables once, as its first node that answers
// knows them.
func printTables(w io.Writer, views []view) {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\nREGION\tTABLE\tSTATUS\tPARTITIONS\tREPLICAS")
	seen := map[string]bool{}
	for _, v := range views {
		if v.Status == nil || seen[v.Status.Region] {
			continue
		}
		seen[v.Status.Region] = true
		for _, t := range v.Status.Tables {
			partitions := fmt.Sprint(t.Partitions)
			if t.Splitting > 0 {
				partitions += fmt.Sprintf(", %d splitting", t.Splitting)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.Status.Region, t.Name, t.Status, partitions, strings.Join(t.Replicas, ", "))
		}
	}
	_ = table.Flush()
}

func printLinks(w io.Writer, views []view) {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\nLINK\tTABLE\tPARTITION\tSTATE\tLAG\tPENDING\tSHIPPED\tLAST ERROR")
	for _, v := range views {
		if v.Status == nil {
			continue
		}
		for _, l := range v.Status.Links {
			fmt.Fprintf(table, "%s → %s\t%s\t%d\t%s\t%.1f ms\t%d\t%d\t%s\n",
				v.Status.Region, l.Peer, l.Table, l.Partition, l.State, l.LagMillis, l.Pending, l.Shipped, l.Error)
		}
	}
	_ = table.Flush()
}
