// Command realkube is the control plane of Kubernetes without nodes, in one binary: etcd, kube-apiserver,
// kube-controller-manager and kubectl of one pinned version, built as Go modules. The tests of `make test-real` are judged by it.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// components are the programs by their names; each takes its own flags.
var components = map[string]func() int{
	"apiserver":   command(apiserver.NewAPIServerCommand),
	"controllers": command(controllers.NewControllerManagerCommand),
	"kubectl":     command(kubectl.NewDefaultKubectlCommand),
	"etcd":        etcd,
}

func main() {
	var name string
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	run, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "realkube: unknown component %q\nusage: realkube %s [flags]\n", name, strings.Join(names(), "|"))
		os.Exit(2)
	}
	// Each component parses the arguments of the process by itself.
	os.Args = os.Args[1:]
	os.Exit(run())
}

func command(build func() *cobra.Command) func() int {
	return func() int { return cli.Run(build()) }
}

func etcd() int {
	etcdmain.Main(os.Args) // ends the process if it fails
	return 0
}

func names() []string {
	all := make([]string, 0, len(components))
	for name := range components {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
