//go:build faults

package main

import "github.com/spf13/cobra"

// faultFlags are there in binaries for tests alone.
func (f *flags) faultFlags(cmd *cobra.Command) {
	cmd.Flags().Func("faults", "file that says what disk and clock do", func(path string) error {
		f.config.InjectFaults(path)
		return nil
	})
	_ = cmd.Flags().MarkHidden("faults")
}
