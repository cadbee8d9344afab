package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"antipode/functions"
	"antipode/regionnode/client"
)

const usage = `Usage: api --region REGION --nodes HOST:PORT[,HOST:PORT...] [options]

Serves DynamoDB's API for one region of antipode, over that region's nodes.
Started by the Lambda runtime (AWS_LAMBDA_RUNTIME_API is set), it answers the
events of a function URL with buffered answers instead of listening. A server
spends up to 256 MB on collecting garbage less often; GOGC or GOMEMLIMIT in the
environment decide otherwise.

Options, and the environment variables that stand in for them:
`

// options are what the command line and the environment say.
type options struct {
	region      string
	listen      string
	nodes       []string
	credentials credentials
	account     string
	hosts       []string
	allowOrigin string
	logLevel    slog.Level
	cluster     string
	silence     time.Duration
	tls         struct{ cert, key, roots string }
}

// credentials are secrets by access key, given as KEY:SECRET, many apart by
// commas or by repeating the option.
type credentials map[string]string

func (c credentials) String() string { return fmt.Sprintf("%d keys", len(c)) }

// Set adds the keys of one option.
func (c credentials) Set(s string) error {
	for _, pair := range list(s) {
		key, secret, ok := strings.Cut(pair, ":")
		if !ok || key == "" || secret == "" {
			return errors.New("want KEY:SECRET")
		}
		c[key] = secret
	}
	return nil
}

// parse reads the command line over the environment.
func parse(args []string, env func(string) string, stderr io.Writer) (*options, error) {
	o := &options{credentials: credentials{}}
	nodes, hosts := env("ANTIPODE_NODES"), env("ANTIPODE_HOSTS")
	if s := env("ANTIPODE_CREDENTIALS"); s != "" {
		if err := o.credentials.Set(s); err != nil {
			return nil, fmt.Errorf("ANTIPODE_CREDENTIALS: %w", err)
		}
	}
	f := flag.NewFlagSet("api", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.region, "region", cmp.Or(env("ANTIPODE_REGION"), env("AWS_REGION")), "the `region` that is served (ANTIPODE_REGION, AWS_REGION)")
	f.StringVar(&o.listen, "listen", cmp.Or(env("ANTIPODE_LISTEN"), "127.0.0.1:8001"), "`address` of the HTTP listener (ANTIPODE_LISTEN)")
	f.StringVar(&nodes, "nodes", nodes, "rpc `addresses` of some of the region's nodes, by commas; the rest is learned from them (ANTIPODE_NODES)")
	f.Var(o.credentials, "credentials", "`KEY:SECRET` that may sign requests, may be repeated; with none, signatures are not verified (ANTIPODE_CREDENTIALS)")
	f.StringVar(&o.account, "account", env("ANTIPODE_ACCOUNT"), "12-digit `account` of new tables (ANTIPODE_ACCOUNT; default 000000000000)")
	f.StringVar(&hosts, "hosts", hosts, "host `names` that clients sign for when a proxy rewrites Host, by commas (ANTIPODE_HOSTS)")
	f.StringVar(&o.allowOrigin, "allow-origin", env("ANTIPODE_ALLOW_ORIGIN"), "`origin` of web pages that may call, or * (ANTIPODE_ALLOW_ORIGIN)")
	f.StringVar(&o.cluster, "cluster", cmp.Or(env("ANTIPODE_CLUSTER"), "antipode"), "`name` of the deployment (ANTIPODE_CLUSTER)")
	f.DurationVar(&o.silence, "node-silence", 0, "how long a node that owes answers may be silent before it is given up (0: the client's default, for nodes that nobody replaces)")
	f.StringVar(&o.tls.cert, "tls-cert", env("ANTIPODE_TLS_CERT"), "PEM `file` of the certificate for rpc (ANTIPODE_TLS_CERT)")
	f.StringVar(&o.tls.key, "tls-key", env("ANTIPODE_TLS_KEY"), "PEM `file` of its key (ANTIPODE_TLS_KEY)")
	f.StringVar(&o.tls.roots, "tls-ca", env("ANTIPODE_TLS_CA"), "PEM `file` of the authorities that nodes must be signed by (ANTIPODE_TLS_CA)")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.nodes, o.hosts = list(nodes), list(hosts)
	return o, o.check(f.Args())
}

// check lists every fault.
func (o *options) check(rest []string) error {
	var faults []error
	if len(rest) > 0 {
		faults = append(faults, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if o.region == "" {
		faults = append(faults, errors.New("--region is needed"))
	}
	if len(o.nodes) == 0 {
		faults = append(faults, errors.New("--nodes is needed"))
	}
	return errors.Join(faults...)
}

// list splits a list by commas; blanks do not count.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// connect makes the client of the region's nodes; it dials with the first
// request.
func (o *options) connect(log *slog.Logger) (*client.Client, error) {
	c := client.Config{Seeds: o.nodes, Cluster: o.cluster, Region: o.region, Silence: o.silence, Log: log}
	if err := c.LoadTLS(o.tls.cert, o.tls.key, o.tls.roots); err != nil {
		return nil, fmt.Errorf("secure rpc: %w", err)
	}
	return client.New(c)
}

// config is the Handler's configuration over a backend.
func (o *options) config(backend functions.Backend, log *slog.Logger) functions.Config {
	c := functions.Config{
		Regions:     map[string]functions.Backend{o.region: backend},
		Region:      o.region,
		Account:     o.account,
		Hosts:       o.hosts,
		AllowOrigin: o.allowOrigin,
		Logger:      log,
	}
	if len(o.credentials) > 0 {
		c.Credentials = functions.StaticCredentials(o.credentials)
	}
	return c
}
