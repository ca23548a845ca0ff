//go:build unix

package folder

import (
	"io/fs"
	"syscall"
)

func ownerOf(info fs.FileInfo) (uid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return 0
}
