package chaos

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var base = flag.String("base", "", "commit whose nodes the upgrade starts from; empty takes the nodes as they are, and tests a rolling restart only")

// TestUpgrade exchanges an older commit's nodes for today's under load, and back.
func TestUpgrade(t *testing.T) {
	ctx := bounded(t, 2*patience)
	c := config(t)
	c.Binaries = t.TempDir()
	if *base == "" {
		for _, name := range []string{"regionnode", "api"} {
			if err := copyBinary(filepath.Join(binaries, name), filepath.Join(c.Binaries, name)); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		buildCommit(t, *base, c.Binaries)
	}
	c.Seed = uint64(time.Now().UnixNano())
	report, err := Upgrade(ctx, c, binaries)
	if err != nil {
		t.Fatal(err)
	}
	if report.Acknowledged == 0 {
		t.Error("nothing was acknowledged")
	}
	t.Log(report)
}

// buildCommit builds the processes of a commit into a folder.
func buildCommit(t *testing.T, commit, into string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "source")
	command := func(dir string, name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, os.Environ()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	command("", "git", "worktree", "add", "--detach", source, commit)
	t.Cleanup(func() {
		if out, err := exec.Command("git", "worktree", "remove", "--force", source).CombinedOutput(); err != nil {
			t.Errorf("remove the source of %s: %v\n%s", commit, err, out)
		}
	})
	command(source, "go", "build", "-trimpath", "-o", into+"/", "./regionnode/cmd/regionnode", "./functions/cmd/api")
}
