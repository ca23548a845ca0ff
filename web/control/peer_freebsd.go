package control

import "golang.org/x/sys/unix"

// solLocal is SOL_LOCAL of sys/un.h, which x/sys doesn't have for FreeBSD.
const solLocal = 0

func peerOfSocket(fd uintptr) (Peer, bool) {
	cred, err := unix.GetsockoptXucred(int(fd), solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return Peer{}, false
	}
	return Peer{UID: int(cred.Uid)}, true
}
