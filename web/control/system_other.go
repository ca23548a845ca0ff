//go:build !unix && !windows

package control

import (
	"io/fs"
	"net"
	"os"
)

// These systems have no uid and no modes: the access list that the socket
// inherits from its folder decides who may open it.

func runBase() string { return os.TempDir() }

func ownerOf(fs.FileInfo) (uid int) { return -1 }

func openToOthers(fs.FileInfo) bool { return false }

func bindPrivate(listen func() (net.Listener, error)) (net.Listener, error) { return listen() }

func takesNoSocket(error) bool { return false }
