package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// runFile holds a running cluster's Info, beside its data.
const runFile = "running.json"

// Running reads where the cluster on a data directory is. It fails with a
// sentence for a person when none runs there.
func Running(dir string) (*Info, error) {
	data, err := os.ReadFile(filepath.Join(dir, runFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("nothing runs on %s: start it with `antipode up`, or name its --data or --admin", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("find the running system: %w", err)
	}
	var info Info
	if err := json.Unmarshal(data, &info); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, runFile), err)
	}
	return &info, nil
}

func saveRunFile(dir string, info *Info) error {
	data, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", runFile, err)
	}
	return writeFile(filepath.Join(dir, runFile), data)
}
