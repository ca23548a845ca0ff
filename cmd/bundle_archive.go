package cmd

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// archive checks a bundle that is still packed, as a stream. archive/tar reads it.
// It takes whatever any tar takes, though: extended headers, sparse files, numbers
// in several forms, an end that is none. What one program reads of that and another
// does not, which then unpacks it, would be a way to unpack what was never checked.
// So the blocks that it took for a header are looked at besides, and may have only
// the plain form that dist/release writes.
func (c *bundleCheck) archive(ctx context.Context, in io.Reader) error {
	b := bufio.NewReaderSize(in, 64<<10)
	if first, _ := b.Peek(2); bytes.Equal(first, []byte{0x1f, 0x8b}) {
		return usage(bundleName(c.report.Bundle)+" is compressed, and a bundle is a plain tar", "gzip -dc "+shellWord(c.report.Bundle)+" | husk bundle verify - --key …")
	}
	blocks := &tarBlocks{r: b}
	t := &tarCheck{bundleCheck: c, blocks: blocks, tar: tar.NewReader(blocks)}
	more, err := true, error(nil)
	for more && err == nil {
		more, err = t.next(ctx)
	}
	if err != nil {
		return err
	}
	if c.list == nil && !t.listed {
		if len(c.whole) == 0 && len(c.report.Problems) == 0 {
			return absentList(c.report.Bundle)
		}
		c.problem(faultMissing, "", "there is no %s in what could be read of it", listName)
	}
	c.settle()
	return nil
}

// tarCheck is the check of a packed bundle.
type tarCheck struct {
	*bundleCheck
	blocks  *tarBlocks
	tar     *tar.Reader
	top     string // the folder that all is in; "": nothing was seen yet
	last    string // the entry before, for where an archive ends
	padding int    // how many bytes fill its last block
	entries int
	listed  bool // there was a list, a good one or not
}

// next checks the next entry; false: there is none, or what follows can't be read.
func (t *tarCheck) next(ctx context.Context) (more bool, err error) {
	t.blocks.keep()
	h, err := t.tar.Next()
	kept := t.blocks.kept()
	cut := errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case t.blocks.failed != nil:
		return false, t.cantRead(t.blocks.failed)
	case errors.Is(err, io.EOF):
		return false, t.end(kept)
	case cut:
		t.problem(faultTruncated, "", "it is cut off %s", t.where())
		return false, nil
	case err != nil && t.last == "":
		t.problem(faultBadArchive, "", "it is no tar of a bundle")
		return false, nil
	case err != nil:
		t.problem(faultBadArchive, "", "%s is no header of a tar: the archive was changed there, or cut", t.where())
		return false, nil
	}
	if fault := plainTar(kept, t.padding, h); fault != "" {
		t.problem(faultBadArchive, "", "%s: %s", h.Name, fault)
		return false, nil // what follows depends on how it is read
	}
	if t.entries++; t.entries > maxEntries {
		t.problem(faultTooLarge, "", "it has more than %d files, which no bundle has", maxEntries)
		return false, nil
	}
	t.last, t.padding = h.Name, int(-h.Size&(tarBlock-1))
	return t.entry(ctx, h)
}

// where is the place in the archive behind what was read.
func (t *tarCheck) where() string {
	if t.last == "" {
		return "at its beginning"
	}
	return "behind " + t.last
}

// entry judges one file or folder.
func (t *tarCheck) entry(ctx context.Context, h *tar.Header) (more bool, err error) {
	full, isFolder := strings.CutSuffix(h.Name, "/")
	top, name, inside := strings.Cut(full, "/")
	if t.top == "" {
		t.top = top
		if !folderOfRelease.MatchString(top) {
			t.problem(faultBadName, "", "all of a bundle is in one folder, called as husk-v0.2.0-airgap is, and this begins with %s", full)
			return false, nil
		}
		t.called(top)
	}
	switch {
	case isFolder != (h.Typeflag == tar.TypeDir):
		t.problem(faultBadArchive, full, "its name and its kind are not those of one thing")
	case full == t.top && isFolder:
		return true, t.mode(h, full)
	case top != t.top || !inside:
		t.problem(faultBadName, full, "it is not in the folder %s, in which all of the bundle is", t.top)
	}
	if !inside || top != t.top {
		return t.pass(ctx)
	}
	if _, again := t.found[name]; again || name == listName && t.listed || name == signatureName && t.signature != nil {
		t.problem(faultTwice, name, "it is in the archive more than once, and the last one would stay")
		return t.pass(ctx)
	}
	if fault := bundleNameFault(name); fault != "" && !isOurs(name) {
		t.problem(faultBadName, name, "%s", fault)
		return t.pass(ctx)
	}
	if err := t.mode(h, name); err != nil {
		return false, err
	}
	return t.content(ctx, h, name, isFolder)
}

// mode tells of a mode or an owner by which somebody else could change what is
// unpacked, or become another user by it.
func (t *tarCheck) mode(h *tar.Header, name string) error {
	switch {
	case h.Mode&^0o777 != 0:
		t.problem(faultNotRegular, name, "it has the mode %04o, with a bit that makes a program run as another user", h.Mode)
	case h.Mode&0o002 != 0:
		t.problem(faultOpenToOthers, name, "it has the mode %04o: everybody may change it once root has unpacked it", h.Mode)
	case h.Uid != 0 || h.Gid != 0:
		t.problem(faultOpenToOthers, name, "it belongs to uid %d and gid %d, who may change it once root has unpacked it", h.Uid, h.Gid)
	case h.Uname != "" && h.Uname != "root" || h.Gname != "" && h.Gname != "root":
		t.problem(faultOpenToOthers, name, "it belongs to user %q and group %q, who may change it once root has unpacked it", h.Uname, h.Gname)
	}
	return nil
}

// content reads a file, the list and its signature whole, others for their sum.
func (t *tarCheck) content(ctx context.Context, h *tar.Header, name string, isFolder bool) (more bool, err error) {
	if isFolder {
		t.early(name, content{folder: true})
		return true, nil
	}
	if h.Size > t.left {
		t.problem(faultTooLarge, name, "with its %s the bundle has more than %s, which none has", byteText(h.Size), byteText(maxBundle))
		return false, nil
	}
	switch _, known := t.sums[name]; {
	case name == listName:
		t.listed = true
		if text := t.small(name, t.tar); text != nil {
			t.takeList(text)
		}
		return t.pass(ctx)
	case name == signatureName:
		if t.signature = t.small(name, t.tar); t.signature == nil {
			t.signature = []byte{}
		}
		return t.pass(ctx)
	case t.known && !known: // nobody wants its sum
		t.early(name, content{})
		return t.pass(ctx)
	}
	of, err := t.sum(ctx, t.tar)
	if err == nil {
		t.early(name, of)
		return true, nil
	}
	t.early(name, content{judged: true})
	return false, t.brokenOff(ctx, name, err)
}

// pass reads what is left of an entry.
func (t *tarCheck) pass(ctx context.Context) (more bool, err error) {
	if _, err := t.sum(ctx, t.tar); err != nil {
		return false, t.brokenOff(ctx, t.last, err)
	}
	return true, nil
}

// brokenOff tells why an entry could not be read to its end.
func (t *tarCheck) brokenOff(ctx context.Context, name string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case t.blocks.failed != nil:
		return t.cantRead(t.blocks.failed)
	case errors.Is(err, errTooMuch):
		t.problem(faultTooLarge, name, "with it the bundle has more than %s, which none has", byteText(maxBundle))
	default:
		t.problem(faultTruncated, "", "it is cut off in %s", name)
	}
	return nil
}

func (t *tarCheck) cantRead(err error) error { return readFailed("the bundle can't be read", err) }

// end judges what stands behind the last entry: two blocks of zeros at least, and
// nothing else.
func (t *tarCheck) end(kept []byte) error {
	if len(kept) == 0 && t.last == "" {
		t.problem(faultTruncated, "", "it is empty")
		return nil
	}
	if len(kept) < t.padding+2*tarBlock {
		t.problem(faultTruncated, "", "it is cut off %s: its end is missing", t.where())
		return nil
	}
	switch {
	case !isZero(kept[:t.padding]):
		t.problem(faultBadArchive, "", "something stands in the last block of %s", t.last)
		return nil
	case !isZero(kept[t.padding:]):
		t.problem(faultTruncated, "", "it is cut off in the header %s", t.where())
		return nil
	}
	buffer := make([]byte, 4<<10)
	for size := 0; ; {
		n, err := t.blocks.Read(buffer)
		if !isZero(buffer[:n]) {
			t.problem(faultTrailing, "", "something stands behind its end")
			return nil
		}
		if size += n; size > maxTrailing {
			t.problem(faultTrailing, "", "more than %d KiB stand behind its end", maxTrailing>>10)
			return nil
		}
		if n == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return t.cantRead(err)
		}
	}
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

const (
	tarBlock    = 512
	maxTrailing = 1 << 20 // bytes that fill up the last record of an archive; tar makes them 10 KiB
	maxTaken    = 4 << 10 // bytes that a plain header may have, with the end of what is before it
)

// tarBlocks keeps the blocks that archive/tar reads as headers.
type tarBlocks struct {
	r      io.Reader
	taken  []byte
	keeps  bool
	failed error // of reading, and not of what was read
}

var errLongHeader = errors.New("a header that is longer than a bundle's are")

// Read implements io.Reader.
func (b *tarBlocks) Read(p []byte) (n int, err error) {
	n, err = b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	if b.keeps {
		if len(b.taken)+n > maxTaken {
			return 0, errLongHeader
		}
		b.taken = append(b.taken, p[:n]...)
	}
	return n, err
}

func (b *tarBlocks) keep() { b.taken, b.keeps = b.taken[:0], true }

// kept is what was read since keep.
func (b *tarBlocks) kept() []byte {
	b.keeps = false
	return b.taken
}

// plainTar tells what in the blocks of an entry a tar of a bundle has not, or "".
// Before the header stand the bytes that fill the last block of the entry before;
// a name of more than 100 bytes has one of GNU's entries for it.
func plainTar(kept []byte, padding int, h *tar.Header) string {
	if len(kept) < padding+tarBlock || len(kept)%tarBlock != padding%tarBlock {
		return "its header is not in one piece"
	}
	if !isZero(kept[:padding]) {
		return "something stands in the last block of what is before it"
	}
	header, short := kept[len(kept)-tarBlock:], h.Name
	if len(h.Name) > 100 {
		long, blocks := h.Name, kept[padding:len(kept)-tarBlock]
		filled := (len(long) + 1 + tarBlock - 1) / tarBlock * tarBlock
		if len(blocks) != tarBlock+filled || blocks[156] != 'L' {
			return "its long name is not in the form of GNU tar"
		}
		if fault := plainBlock(blocks[:tarBlock], "././@LongLink", int64(len(long)+1)); fault != "" {
			return fault
		}
		if string(blocks[tarBlock:][:len(long)]) != long || !isZero(blocks[tarBlock+len(long):]) {
			return "its long name is not in the form of GNU tar"
		}
		short = long[:100]
	} else if len(kept) != padding+tarBlock {
		return "it has an extended header, which a bundle has nowhere"
	}
	switch {
	case header[156] != tar.TypeReg && header[156] != tar.TypeDir:
		return "it is " + kindOfEntry(header[156]) + ", and a bundle has files and folders alone"
	case header[156] == tar.TypeDir && h.Size != 0:
		return "it is a folder with a size"
	}
	return plainBlock(header, short, h.Size)
}

var (
	tarSize  = regexp.MustCompile(`^[0-7]{11}\x00$`)
	tarSmall = regexp.MustCompile(`^[0-7]{7}\x00$`)
	tarSum8  = regexp.MustCompile(`^[0-7]{6}\x00 $`)
)

// noDevice is how some programs write that a file is no device.
const noDevice = "0000000\x000000000\x00"

// plainBlock holds a header to the one form in which GNU tar and archive/tar write
// it, so that every program reads the same of it.
func plainBlock(b []byte, name string, size int64) string {
	field := func(from, length int) string { return string(b[from : from+length]) }
	switch {
	case strings.TrimRight(field(0, 100), "\x00") != name:
		return "its name is in two places of its header"
	case !tarSize.MatchString(field(124, 12)) || !tarSize.MatchString(field(136, 12)):
		return "its size or its time is in another form than a bundle has"
	case !tarSmall.MatchString(field(100, 8)) || !tarSmall.MatchString(field(108, 8)) || !tarSmall.MatchString(field(116, 8)):
		return "its mode or its owner is in another form than a bundle has"
	case !tarSum8.MatchString(field(148, 8)):
		return "its checksum is in another form than a bundle has"
	case strings.Trim(field(157, 100), "\x00") != "":
		return "it names another file as its content"
	case field(257, 8) != "ustar  \x00" && field(257, 8) != "ustar\x0000":
		return "it is of another kind of tar than a bundle is"
	case field(329, 16) != noDevice && strings.Trim(field(329, 16), "\x00") != "", strings.Trim(field(345, 167), "\x00") != "":
		return "its header has more than that of a bundle"
	}
	if n, err := strconv.ParseInt(field(124, 11), 8, 64); err != nil || n != size {
		return "its size is told in two ways"
	}
	return ""
}

// kindOfEntry says what an entry is that is no file and no folder.
func kindOfEntry(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return "a hard link"
	case tar.TypeSymlink:
		return "a link"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a named pipe"
	case tar.TypeGNUSparse:
		return "a sparse file"
	}
	return fmt.Sprintf("an entry of kind %q", flag)
}
