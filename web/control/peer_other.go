//go:build !linux && !darwin && !freebsd && !windows

package control

func peerOfSocket(uintptr) (Peer, bool) { return Peer{}, false }
