package bench

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"
)

// Report is everything one benchmark found.
type Report struct {
	Time        time.Time `json:"time"`
	Machine     Machine   `json:"machine"`
	Connections []int     `json:"connections"`
	Rows        []Row     `json:"rows"`
	Writes      []Writes  `json:"writes,omitempty"`
	Lag         *Lag      `json:"replication_lag,omitempty"`
}

// Machine says where it ran.
type Machine struct {
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Cores int    `json:"cores"`
	Go    string `json:"go"`
}

func machine() Machine {
	return Machine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()}
}

// Row is one workload at one number of connections: the mean rate and the
// worst quantiles over the rounds. Ratio is Rate over the floor's, 0 for a floor.
type Row struct {
	Workload    string   `json:"workload"`
	Connections int      `json:"connections"`
	Rounds      []Result `json:"rounds"`
	Rate        float64  `json:"rate"`
	P50         int64    `json:"p50_ns"`
	P99         int64    `json:"p99_ns"`
	Floor       string   `json:"floor,omitempty"`
	Ratio       float64  `json:"ratio,omitempty"`
}

func (r *Report) add(w workload, conns int, result Result) {
	row := r.row(w.name, conns)
	if row == nil {
		r.Rows = append(r.Rows, Row{Workload: w.name, Connections: conns, Floor: w.floor})
		row = &r.Rows[len(r.Rows)-1]
	}
	row.Rounds = append(row.Rounds, result)
	var sum float64
	for _, round := range row.Rounds {
		sum += round.Rate
	}
	row.Rate = sum / float64(len(row.Rounds))
	row.P50, row.P99 = max(row.P50, result.P50), max(row.P99, result.P99)
	if floor := r.row(w.floor, conns); floor != nil {
		row.Ratio = row.Rate / floor.Rate
	}
}

func (r *Report) row(name string, conns int) *Row {
	for i := range r.Rows {
		if r.Rows[i].Workload == name && r.Rows[i].Connections == conns {
			return &r.Rows[i]
		}
	}
	return nil
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s/%s, %d cores, %s\n\n", r.Machine.OS, r.Machine.Arch, r.Machine.Cores, r.Machine.Go)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "workload\tconnections\tops/s\tp50 ms\tp99 ms\tof its floor\t")
	for _, row := range r.Rows {
		ratio := "–"
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.3f\t%.3f\t%s\t\n", row.Workload, row.Connections, row.Rate, float64(row.P50)/1e6, float64(row.P99)/1e6, ratio)
	}
	_ = table.Flush()
	for i, x := range r.Writes {
		if i == 0 {
			fmt.Fprint(w, "\neach PutItem, one after another, with what follows from it:\n")
		}
		fmt.Fprintf(w, "  global indexes: %d, raft entries: %.1f, bytes written to the store: %.0f\n", x.Indexes, x.Entries, x.Bytes)
	}
	if r.Lag != nil {
		fmt.Fprintf(w, "\nreplication lag at %.0f writes/s, acknowledged to visible: p50 %.1f ms, p99 %.1f ms, max %.1f ms (%d samples)\n",
			r.Lag.Rate, float64(r.Lag.P50)/1e6, float64(r.Lag.P99)/1e6, float64(r.Lag.Max)/1e6, r.Lag.Samples)
	}
}
