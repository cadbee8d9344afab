// Command wiregen writes functions/wire/zz_*.go: the shapes, decoders and
// constraints of DynamoDB's API model, as botocore publishes it, and of our own
// operations' model, which is in the same form. Run it from the module's root. It knows the model's JSON and the quirks that the service
// has beyond its model (quirks.go); it knows nothing of the service's behaviour.
//
//	go run ./.ci/wiregen                      fetch the pinned botocore with pip, write
//	go run ./.ci/wiregen -check               the same, but compare instead of writing
//	go run ./.ci/wiregen -data DIR [-check]   read DIR/dynamodb/… and DIR/dynamodbstreams/…
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// botocore is the pinned release whose models are the source. Raise it, run
// wiregen, and read the diff.
const botocore = "1.44.5"

// target is where the generated files live, from the module's root.
const target = "functions/wire"

// own is the model of the operations that DynamoDB does not have, laid out as
// botocore's data directory is.
const own = target + "/model/antipode/2026-11-22/service-2.json"

func main() {
	check := flag.Bool("check", false, "compare with the files in place instead of writing them")
	data := flag.String("data", "", "botocore's data directory (default: fetch botocore=="+botocore+" with pip)")
	flag.Parse()
	if err := run(*data, *check); err != nil {
		fmt.Fprintln(os.Stderr, "wiregen:", err)
		os.Exit(1)
	}
}

func run(data string, check bool) error {
	if _, err := os.Stat(target); err != nil {
		return fmt.Errorf("run me from the module's root: %w", err)
	}
	if data == "" {
		dir, remove, err := fetch()
		if err != nil {
			return err
		}
		defer remove()
		data = dir
	}
	m, err := load(data)
	if err != nil {
		return err
	}
	files, err := emit(m)
	if err != nil {
		return err
	}
	if check {
		return compare(files)
	}
	return write(files)
}

func write(files map[string][]byte) error {
	stale, err := filepath.Glob(filepath.Join(target, "zz_*.go"))
	if err != nil {
		return err
	}
	for _, path := range stale {
		if files[filepath.Base(path)] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(target, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare fails when a generated file differs from the one in place, or when
// one of them is missing.
func compare(files map[string][]byte) error {
	present, err := filepath.Glob(filepath.Join(target, "zz_*.go"))
	if err != nil {
		return err
	}
	var wrong []string
	for _, path := range present {
		if files[filepath.Base(path)] == nil {
			wrong = append(wrong, path+" is no longer generated")
		}
	}
	for name, text := range files {
		path := filepath.Join(target, name)
		have, err := os.ReadFile(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			wrong = append(wrong, path+" is missing")
		case err != nil:
			return err
		case !bytes.Equal(have, text):
			wrong = append(wrong, path+" differs from what the generator writes")
		}
	}
	if len(wrong) == 0 {
		fmt.Printf("wiregen: %d files up to date with botocore %s\n", len(files), botocore)
		return nil
	}
	sort.Strings(wrong)
	for _, w := range wrong {
		fmt.Fprintln(os.Stderr, "wiregen:", w)
	}
	return errors.New("generated files are stale: run go run ./.ci/wiregen")
}
