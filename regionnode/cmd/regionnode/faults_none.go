//go:build !faults

package main

import "github.com/spf13/cobra"

func (f *flags) faultFlags(*cobra.Command) {}
