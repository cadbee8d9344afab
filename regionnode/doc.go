// Package regionnode is the contract between request functions and storage
// nodes: the Service, its requests and responses, and the decoded Change. It
// says what is asked and answered, in decoded and validated terms; it knows
// neither HTTP nor how nodes keep, find or replicate data.
package regionnode
