package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"antipode/localstack/cluster"
	"antipode/regionnode/node"
	"antipode/regionnode/table"
)

func partitionCommand() *cobra.Command {
	var at operator
	cmd := &cobra.Command{
		Use:   "partition",
		Short: "list and split the partitions of a table",
		Long: `A table's items lie in partitions, each an interval of the hashes of their
partition keys. Partitions are split by themselves when they grow beyond
--split-size or serve more than --split-load ('antipode up --help'). These
commands show them, and split one by hand. They find the running system through
the data directory of 'antipode up', or through --admin.`,
	}
	cmd.PersistentFlags().StringVar(&at.data, "data", defaultDir, "data directory of the running system")
	cmd.PersistentFlags().StringSliceVar(&at.admins, "admin", nil, "admin URLs of nodes of one region, instead of --data and --region")
	cmd.PersistentFlags().StringVar(&at.region, "region", "", "region whose table is meant (default: the first that runs)")
	cmd.AddCommand(listPartitionsCommand(&at), splitPartitionCommand(&at))
	return cmd
}

func listPartitionsCommand(at *operator) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list TABLE",
		Short:   "show a table's partitions: hashes, nodes, sizes, splits under way",
		Example: `  antipode partition list notes`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := at.partitions(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rows)
			}
			printPartitions(cmd.OutOrStdout(), rows)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func splitPartitionCommand(at *operator) *cobra.Command {
	var order node.SplitOrder
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "split TABLE",
		Short: "split a partition in two and wait until that is done",
		Long: `split cuts a partition of a table, or of one of its global indexes, in two and
waits until that is done. No item is moved, and requests go on meanwhile. Ctrl-C
ends the waiting, not the split.`,
		Example: `  antipode partition split notes
  antipode partition split notes --partition 6323898301758309379 --at 4000000000000000`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			order.Table = args[0]
			return at.split(cmd, &order, asJSON)
		},
	}
	cmd.Flags().Uint64Var((*uint64)(&order.Partition), "partition", 0, "id of the partition (default: the table's largest)")
	cmd.Flags().StringVar(&order.At, "at", "", "first hash of the new partition, in hex (default: halves the bytes)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the two partitions as JSON")
	return cmd
}

// operator finds the nodes of one region.
type operator struct {
	data, region string
	admins       []string
}

// nodes are the admin URLs of the region's nodes.
func (o *operator) nodes() ([]string, error) {
	if len(o.admins) > 0 {
		return o.admins, nil
	}
	info, err := cluster.Running(o.data)
	if err != nil {
		return nil, err
	}
	i := 0
	if o.region != "" {
		i = slices.IndexFunc(info.Regions, func(r cluster.RegionInfo) bool { return r.Region == o.region })
	}
	if i < 0 || i >= len(info.Regions) {
		return nil, fmt.Errorf("region %s does not run on %s", o.region, o.data)
	}
	var out []string
	for _, n := range info.Regions[i].Nodes {
		out = append(out, n.Admin)
	}
	return out, nil
}

// refusedError is a node's answer that another node would give as well.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// ask makes one request to the first node that can be reached.
func (o *operator) ask(ctx context.Context, method, path string, body []byte, into any) error {
	admins, err := o.nodes()
	if err != nil {
		return err
	}
	var errs []error
	for _, admin := range admins {
		err := askNode(ctx, method, strings.TrimRight(admin, "/")+path, body, into)
		if _, refused := errors.AsType[refusedError](err); err == nil || refused || ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// maxAnswer bounds what is read of a node's answer.
const maxAnswer = 64 << 20

func askNode(ctx context.Context, method, at string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", at, err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err // it names the address
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("read answer of %s: %w", at, err)
	case answer.StatusCode >= 500:
		return fmt.Errorf("%s: %s", at, strings.TrimSpace(string(text)))
	case answer.StatusCode != http.StatusOK:
		return refusedError(strings.TrimSpace(string(text)))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read answer of %s: %w", at, err)
	}
	return nil
}

func (o *operator) partitions(ctx context.Context, name string) ([]node.PartitionRow, error) {
	var rows []node.PartitionRow
	err := o.ask(ctx, http.MethodGet, "/partitions?table="+url.QueryEscape(name), nil, &rows)
	return rows, err
}

const (
	// splitLook is how often a split is looked after, splitNews how often one that
	// takes long is told of.
	splitLook = 100 * time.Millisecond
	splitNews = 5 * time.Second
)

func (o *operator) split(cmd *cobra.Command, order *node.SplitOrder, asJSON bool) error {
	ctx := cmd.Context()
	body, err := json.Marshal(order)
	if err != nil {
		return fmt.Errorf("encode the order: %w", err)
	}
	var begun node.PartitionRow
	if err := o.ask(ctx, http.MethodPost, "/partitions/split", body, &begun); err != nil {
		return err
	}
	began := time.Now()
	news := began.Add(splitNews)
	for {
		rows, err := o.partitions(ctx, order.Table)
		if err == nil && !splitting(rows, begun.ID, begun.Right) {
			return tellSplit(cmd.OutOrStdout(), rows, &begun, asJSON)
		}
		if _, refused := errors.AsType[refusedError](err); refused {
			return err // the table is gone
		}
		if now := time.Now(); now.After(news) {
			news = now.Add(splitNews)
			fmt.Fprintf(cmd.ErrOrStderr(), "partition %d is being split, %s so far\n", begun.ID, now.Sub(began).Round(time.Second))
		}
		select {
		case <-ctx.Done():
			fmt.Fprintf(cmd.ErrOrStderr(), "the split of partition %d goes on; `antipode partition list %s` shows it\n", begun.ID, order.Table)
			return ctx.Err()
		case <-time.After(splitLook):
		}
	}
}

func find(rows []node.PartitionRow, id table.PartitionID) *node.PartitionRow {
	i := slices.IndexFunc(rows, func(r node.PartitionRow) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &rows[i]
}

func splitting(rows []node.PartitionRow, id, right table.PartitionID) bool {
	p := find(rows, id)
	return p != nil && p.Right == right
}

// tellSplit says what became of a split.
func tellSplit(w io.Writer, rows []node.PartitionRow, begun *node.PartitionRow, asJSON bool) error {
	left, right := find(rows, begun.ID), find(rows, begun.Right)
	switch {
	case left == nil:
		return fmt.Errorf("partition %d is gone", begun.ID)
	case right == nil && left.Refusal != "":
		return fmt.Errorf("partition %d was not split: %s", begun.ID, left.Refusal)
	case right == nil:
		return fmt.Errorf("partition %d was not split; try again", begun.ID)
	case asJSON:
		return json.NewEncoder(w).Encode([]node.PartitionRow{*left, *right})
	}
	fmt.Fprintf(w, "partition %d ends before hash %s, where partition %d begins\n", left.ID, right.Start, right.ID)
	return nil
}

func printPartitions(w io.Writer, rows []node.PartitionRow) {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "PARTITION\tINDEX\tHASHES FROM\tNODES\tITEMS\tBYTES\tREQUESTS/S\tSPLIT")
	for i := range rows {
		r := &rows[i]
		state := ""
		switch {
		case r.Right != 0:
			state = fmt.Sprintf("under way, into %d", r.Right)
		case r.Refusal != "":
			state = "not done: " + r.Refusal
		}
		load := ""
		if r.Load > 0 {
			load = fmt.Sprint(r.Load)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", r.ID, r.Index, r.Start, strings.Join(r.Replicas, ", "), r.Items, r.Bytes, load, state)
	}
	_ = table.Flush()
}
