package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
)

// model is all services' operations and the shapes that their inputs reach.
type model struct {
	Operations []operation // by name
	Structs    []*structure
	// UpperMessage lists the error shapes whose text is called Message.
	UpperMessage []string
	shapes       map[string]*shape
}

// operation is one API operation.
type operation struct {
	Name   string
	Target string // X-Amz-Target's value
	Input  string // its struct's name
}

// shape is one entry of the model's shapes.
type shape struct {
	Type      string   `json:"type"`
	Members   members  `json:"members"`
	Required  []string `json:"required"`
	Member    *ref     `json:"member"`
	Key       *ref     `json:"key"`
	Value     *ref     `json:"value"`
	Enum      []string `json:"enum"`
	Min       *int64   `json:"min"`
	Max       *int64   `json:"max"`
	Pattern   string   `json:"pattern"`
	Exception bool     `json:"exception"`
}

type ref struct {
	Shape string `json:"shape"`
}

// members keeps the model's order.
type members []namedRef

type namedRef struct {
	Name  string
	Shape string
}

func (m *members) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var r ref
		if err := d.Decode(&r); err != nil {
			return err
		}
		*m = append(*m, namedRef{name.(string), r.Shape})
	}
	return nil
}

// structure is a struct to generate.
type structure struct {
	Name     string // in Go
	Shape    string // in the model
	Input    bool
	Required map[string]bool
	Members  []member // in the order of DynamoDB's validation messages
}

// member is one member of a structure.
type member struct {
	Name  string
	Shape string
	typ   *shape
}

type serviceFile struct {
	Metadata struct {
		TargetPrefix string `json:"targetPrefix"`
	} `json:"metadata"`
	Operations map[string]struct {
		Input *ref `json:"input"`
	} `json:"operations"`
	Shapes map[string]*shape `json:"shapes"`
}

// load reads both models below botocore's data directory, and our own.
func load(data string) (*model, error) {
	m := &model{shapes: map[string]*shape{}}
	for _, path := range []string{
		filepath.Join(data, "dynamodb", "2012-08-10", "service-2.json"),
		filepath.Join(data, "dynamodbstreams", "2012-08-10", "service-2.json"),
		own,
	} {
		f, err := readService(path)
		if err != nil {
			return nil, err
		}
		if err := m.add(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	sort.Slice(m.Operations, func(i, j int) bool { return m.Operations[i].Name < m.Operations[j].Name })
	sort.Slice(m.Structs, func(i, j int) bool { return m.Structs[i].Name < m.Structs[j].Name })
	sort.Strings(m.UpperMessage)
	return m, nil
}

func readService(path string) (*serviceFile, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text, err = readGzip(path + ".gz")
	}
	if err != nil {
		return nil, fmt.Errorf("read the model: %w", err)
	}
	f := new(serviceFile)
	if err := json.Unmarshal(text, f); err != nil {
		return nil, fmt.Errorf("read the model %s: %w", path, err)
	}
	return f, nil
}

func readGzip(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// add merges one service in. The models share some shapes, which must agree.
func (m *model) add(f *serviceFile) error {
	for name, s := range f.Shapes {
		switch have := m.shapes[name]; {
		case have == nil:
			m.shapes[name] = s
		case !reflect.DeepEqual(have, s):
			return fmt.Errorf("shape %s differs from the other service's", name)
		}
		if s.Exception {
			for _, mm := range s.Members {
				if mm.Name == "Message" {
					m.UpperMessage = append(m.UpperMessage, name)
				}
			}
		}
	}
	names := make([]string, 0, len(f.Operations))
	for name := range f.Operations {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		input := f.Operations[name].Input
		if input == nil {
			return fmt.Errorf("operation %s has no input shape", name)
		}
		m.Operations = append(m.Operations, operation{name, f.Metadata.TargetPrefix + "." + name, goName(input.Shape)})
		if err := m.reach(f, input.Shape, true); err != nil {
			return err
		}
	}
	return nil
}

// goName is the struct's name: inputs end in Input.
func goName(shape string) string {
	if base, ok := strings.CutSuffix(shape, "Request"); ok && strings.HasPrefix(shape, "Describe") {
		return base + "Input"
	}
	return shape
}

// reach records the structures below shape name.
func (m *model) reach(f *serviceFile, name string, input bool) error {
	s := f.Shapes[name]
	if s == nil {
		return fmt.Errorf("shape %s is missing", name)
	}
	if name == "AttributeValue" {
		return nil
	}
	for _, r := range []*ref{s.Member, s.Key, s.Value} {
		if r != nil {
			if err := m.reach(f, r.Shape, false); err != nil {
				return err
			}
		}
	}
	if s.Type != "structure" || m.known(name) {
		return nil
	}
	st := &structure{Name: goName(name), Shape: name, Input: input, Required: map[string]bool{}}
	m.Structs = append(m.Structs, st)
	for _, r := range s.Required {
		st.Required[r] = true
	}
	for _, mm := range s.Members {
		st.Members = append(st.Members, member{mm.Name, mm.Shape, f.Shapes[mm.Shape]})
		if err := m.reach(f, mm.Shape, false); err != nil {
			return err
		}
	}
	return sortMembers(st)
}

func (m *model) known(shape string) bool {
	for _, s := range m.Structs {
		if s.Shape == shape {
			return true
		}
	}
	return false
}
