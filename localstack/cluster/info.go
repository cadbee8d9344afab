package cluster

// Info says where a running cluster's parts are. As one line of JSON it is what
// `antipode up --json` prints; beside the data it is what `antipode status`
// reads. The shape is stable: fields are only added.
type Info struct {
	Ready    bool         `json:"ready"`
	Endpoint string       `json:"endpoint"`
	PID      int          `json:"pid"`
	Regions  []RegionInfo `json:"regions"`
}

// RegionInfo is one region's endpoint, the process that serves it, and its nodes.
type RegionInfo struct {
	Region   string     `json:"region"`
	Endpoint string     `json:"endpoint"`
	PID      int        `json:"pid"`
	Nodes    []NodeInfo `json:"nodes"`
}

// NodeInfo is one node: Admin is the base URL of its metrics and status, RPC the
// address that functions use.
type NodeInfo struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Zone  string `json:"zone"`
	PID   int    `json:"pid"`
	Admin string `json:"admin"`
	RPC   string `json:"rpc"`
}
