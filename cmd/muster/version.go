package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version = "development"

// build is which program this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source
	Time     string `json:"time,omitempty"`     // of the revision
	Modified bool   `json:"modified,omitempty"` // the source had changes besides
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildInfo() build {
	v := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if version == "development" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func newVersion(env *environment) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "version", Short: "Show the version and how it was built", Args: exactly(0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			v := buildInfo()
			if output == "json" {
				return env.printJSON(v)
			}
			fmt.Fprintf(env.out, "muster %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			if v.Revision != "" {
				changed := ""
				if v.Modified {
					changed = ", with changes"
				}
				fmt.Fprintf(env.out, "built from %s of %s%s\n", v.Revision, v.Time, changed)
			}
			return nil
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}
