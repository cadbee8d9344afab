package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fetch downloads the pinned botocore wheel with pip and unpacks the two models
// into a temporary directory, which remove deletes.
func fetch() (dir string, remove func(), err error) {
	pip, err := findPip()
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp("", "wiregen")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	args := append(pip[1:], "download", "botocore=="+botocore, "--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check", "--dest", dir)
	cmd := exec.Command(pip[0], args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", nil, fmt.Errorf("pip download botocore==%s: %w\n%s", botocore, err, out.Bytes())
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "botocore-*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", nil, fmt.Errorf("pip downloaded %d botocore wheels instead of one", len(wheels))
	}
	if err := unpack(wheels[0], dir); err != nil {
		return "", nil, fmt.Errorf("unpack %s: %w", filepath.Base(wheels[0]), err)
	}
	return filepath.Join(dir, "botocore", "data"), remove, nil
}

func findPip() ([]string, error) {
	for _, c := range [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}} {
		if _, err := exec.LookPath(c[0]); err == nil && exec.Command(c[0], append(c[1:], "--version")...).Run() == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("pip is not installed, so botocore %s cannot be fetched: install pip, or unpack that wheel and give its botocore/data directory with -data", botocore)
}

// unpack writes the wheel's two service models under dir.
func unpack(wheel, dir string) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		if !strings.HasPrefix(f.Name, "botocore/data/dynamodb") || !strings.Contains(f.Name, "service-2.json") || strings.Contains(f.Name, "..") {
			continue
		}
		if err := unpackFile(f, filepath.Join(dir, filepath.FromSlash(f.Name))); err != nil {
			return err
		}
	}
	return nil
}

func unpackFile(f *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
