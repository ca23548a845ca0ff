// Command etcd is the newest server of etcd, for the tests of what Husk keeps in it. It
// is a module of its own, so that nothing of it is in what Husk is built from.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
