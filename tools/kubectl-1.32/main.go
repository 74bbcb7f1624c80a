// Command kubectl is the real kubectl of one pinned version, built as a Go module: the tests of the dev cluster are judged
// by it, and by no other that happens to be on a machine.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() {
	os.Exit(cli.Run(cmd.NewDefaultKubectlCommand()))
}
