package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// folder checks a bundle that was unpacked. Nothing in it is trusted to stay as
// it is: every folder and file is opened by its name in the folder before, not by
// a path, and has to be what was seen there a moment ago, so that no link is
// followed, also one that is put there meanwhile.
func (c *bundleCheck) folder(ctx context.Context, root *os.Root) error {
	list, there := c.own(root, listName)
	if !there {
		return absentList(c.report.Bundle)
	}
	if c.signature, there = c.own(root, signatureName); there && c.signature == nil {
		c.signature = []byte{} // what is wrong with it was told, and it is no good one
	}
	if list != nil {
		c.takeList(list)
	}
	if len(c.sums) > 0 {
		c.shown.set(0, c.expected(root))
		if err := c.walk(ctx, root, "."); err != nil {
			return err
		}
	}
	c.settle()
	return nil
}

// own reads the list or its signature; nil, where it is there: a problem was told.
func (c *bundleCheck) own(root *os.Root, name string) (text []byte, there bool) {
	f, err := c.openRegular(root, name, name)
	if err != nil || f == nil {
		return nil, err == nil
	}
	defer f.Close()
	return c.small(name, f), true
}

// expected is about how much there is to read.
func (c *bundleCheck) expected(root *os.Root) (bytes int64) {
	for name := range c.sums {
		if info, err := root.Lstat(name); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
	}
	return bytes
}

// walk looks at all that a folder has. It goes only into folders that files of
// the list are in, so that it is as deep as the list.
func (c *bundleCheck) walk(ctx context.Context, dir *os.Root, at string) error {
	d, err := dir.Open(".")
	if err != nil {
		c.problem(faultUnreadable, at, "it can't be read: %s", plainCause(err))
		return nil
	}
	defer d.Close()
	if info, err := d.Stat(); err == nil {
		c.noteOthers(at, info)
	}
	for {
		entries, err := d.ReadDir(1000)
		for _, e := range entries {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := c.entry(ctx, dir, e.Name(), path.Join(at, e.Name())); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || err == nil && len(entries) == 0 {
			return nil
		}
		if err != nil {
			c.problem(faultUnreadable, at, "it can't be read: %s", plainCause(err))
			return nil
		}
	}
}

// entry looks at one name in a folder.
func (c *bundleCheck) entry(ctx context.Context, dir *os.Root, base, name string) error {
	_, listed := c.sums[name]
	switch {
	case isOurs(name):
		return nil
	case c.folders[name]:
		return c.inFolder(ctx, dir, base, name)
	case !listed:
		c.extra(dir, base, name)
		return nil
	}
	f, err := c.openRegular(dir, base, name)
	if err != nil {
		return nil // it went away, and is told as missing
	}
	if f == nil {
		c.early(name, content{judged: true})
		return nil
	}
	defer f.Close()
	of, err := c.sum(ctx, f)
	switch {
	case errors.Is(err, errTooMuch):
		of.judged = true
		c.problem(faultTooLarge, name, "with it the bundle has more than %s, which none has", byteText(maxBundle))
		c.left = 0
	case ctx.Err() != nil:
		return err
	case err != nil:
		of.judged = true
		c.problem(faultUnreadable, name, "it can't be read: %s", plainCause(err))
	}
	c.early(name, of)
	return nil
}

// inFolder goes into a folder that the list has files in.
func (c *bundleCheck) inFolder(ctx context.Context, dir *os.Root, base, name string) error {
	info, err := dir.Lstat(base)
	if err == nil && !info.IsDir() {
		c.problem(faultNotRegular, name, "it is %s, and a folder belongs there", c.kind(dir, base, info))
		return nil
	}
	below, err := dir.OpenRoot(base)
	if err != nil {
		c.problem(faultUnreadable, name, "it can't be read: %s", plainCause(err))
		return nil
	}
	defer below.Close()
	if now, err := below.Stat("."); err != nil || !os.SameFile(info, now) {
		c.problem(faultUnreadable, name, "it was put in another's place while it was looked at")
		return nil
	}
	return c.walk(ctx, below, name)
}

// extra tells of a name that the list has not.
func (c *bundleCheck) extra(dir *os.Root, base, name string) {
	info, err := dir.Lstat(base)
	if err == nil && info.IsDir() {
		c.problem(faultExtra, name+"/", "it is a folder that nothing in the list is in")
		return
	}
	what := "a file"
	if err == nil {
		what = c.kind(dir, base, info)
	}
	c.problem(faultExtra, name, "it is not in the list: %s", what)
}

func (c *bundleCheck) hardLink(name string, names uint64) {
	c.problem(faultHardLink, name, "it has %d names (hard links), and by another one it could be changed; copy the bundle, and check the copy", names)
}

// openRegular opens a regular file that nobody else has a name of; nil: a problem
// was told. It fails where it is not there.
func (c *bundleCheck) openRegular(dir *os.Root, base, name string) (*os.File, error) {
	info, err := dir.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case err != nil:
		c.problem(faultUnreadable, name, "it can't be read: %s", plainCause(err))
		return nil, nil
	case !info.Mode().IsRegular():
		c.problem(faultNotRegular, name, "it is %s, and a file belongs there", c.kind(dir, base, info))
		return nil, nil
	case info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
		c.problem(faultNotRegular, name, "it has the mode %s, with a bit that makes a program run as another user", info.Mode())
		return nil, nil
	case links(nil, info) > 1:
		c.hardLink(name, links(nil, info))
		return nil, nil
	case info.Size() > c.left:
		c.problem(faultTooLarge, name, "with its %s the bundle has more than %s, which none has", byteText(info.Size()), byteText(maxBundle))
		return nil, nil
	}
	// A pipe that was put there since would be waited for.
	f, err := dir.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		c.problem(faultUnreadable, name, "it can't be read: %s", plainCause(err))
		return nil, nil
	}
	now, err := f.Stat()
	if err != nil || !now.Mode().IsRegular() || !os.SameFile(info, now) {
		f.Close()
		c.problem(faultUnreadable, name, "it was put in another's place while it was looked at")
		return nil, nil
	}
	if n := links(f, now); n > 1 { // which not every system tells before
		f.Close()
		c.hardLink(name, n)
		return nil, nil
	}
	c.noteOthers(name, now)
	return f, nil
}

// kind says what a thing is that is no regular file.
func (c *bundleCheck) kind(dir *os.Root, base string, info fs.FileInfo) string {
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		to, _ := dir.Readlink(base) // is told only
		return "a link to " + to
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode.IsRegular():
		return "a file"
	}
	return "no regular file"
}

// noteOthers keeps who else may change what is checked, once.
func (c *bundleCheck) noteOthers(name string, info fs.FileInfo) {
	if c.open != "" {
		return
	}
	uid, _, known := owners(info)
	switch me := os.Geteuid(); {
	case known && uid != me && uid != 0:
		c.open = fmt.Sprintf("%s belongs to uid %d", inBundle(name), uid)
	case known && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		c.open = fmt.Sprintf("everybody may write to %s (mode %04o)", inBundle(name), info.Mode().Perm())
	}
}

// inBundle names a place in a bundle.
func inBundle(name string) string {
	if name == "." {
		return "the folder of the bundle"
	}
	return name
}
