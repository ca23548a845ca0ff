package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// bundleCommand groups what is for the bundle that Husk is carried in into a
// network without internet. None of it needs a store.
func (a *app) bundleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Check a release that was carried here",
		Long: `A release for a network that has no other is one archive, the air-gap bundle: it
has a list of its files with their SHA-256, and a signature of that list. 'husk bundle
verify' tells whether what arrived is what was signed.`,
		Example: `  husk bundle verify husk-v0.2.0-airgap.tar --key minisign.pub
  husk bundle verify /mnt/stick/husk-v0.2.0-airgap --key minisign.pub`,
		RunE: group,
	}
	cmd.AddCommand(a.bundleVerifyCommand())
	return cmd
}

type bundleVerifyOptions struct {
	key      string
	unsigned bool
	version  formed
}

func (a *app) bundleVerifyCommand() *cobra.Command {
	o := bundleVerifyOptions{version: formed{form: isRelease}}
	cmd := &cobra.Command{
		Use:   "verify DIR|FILE.tar|-",
		Short: "Check every file of a bundle against its signed list",
		Long: `Check the signature of SHA256SUMS in a bundle, and then every file against that
list: one that was changed, is missing, is not in the list, or is something else than
a regular file. All that is wrong is told by name, and ends with 7. An archive is
checked as it stands, without being unpacked.

The key is a public key of minisign: the line that begins with RW, or a file of it,
or - for stdin. Take it from whom you trust for it, from their own page or on paper,
never from the bundle. A program out of the bundle proves nothing about the bundle,
nor about itself: check the first one by 'minisign -V', or by its SHA-256 on paper.

An older bundle is signed as well: see which version is told, or demand one with
--version. --unsigned takes a bundle without a signature, and then proves only that
its files are as listed: whoever changed one may have changed the list. A signature
that is there has to be good all the same.

What was checked may be changed later by whoever may write there: check it in a
folder of your own, and install from that. It needs no store and no server.`,
		Example: `  husk bundle verify husk-v0.2.0-airgap.tar --key minisign.pub
  husk bundle verify husk-v0.2.0-airgap --key RWT7bUFho0…VUw= --version v0.2.0
  husk bundle verify husk-v0.2.0-airgap --unsigned --json`,
		Args: pathArgs(one("the folder or the tar of a bundle, or - for stdin")),
		RunE: func(cmd *cobra.Command, args []string) error { return a.verifyBundle(cmd.Context(), args[0], &o) },
	}
	f := cmd.Flags()
	keyVar(f, &o.key)
	f.BoolVar(&o.unsigned, "unsigned", false, "take a bundle that nobody signed")
	f.Var(&o.version, "version", "the release that it has to be, as v0.2.0")
	return cmd
}

// keyVar defines the flag of the commands that check a signature.
func keyVar(f *pflag.FlagSet, p *string) {
	pathVar(f, p, "key", "public key of minisign that signs releases: the key, a file of it, or - for stdin")
}

// isRelease is the form of a release's version.
func isRelease(text string) error {
	if !versionForm.MatchString(releaseName(text)) {
		return errors.New("a release is called as v0.2.0 is")
	}
	return nil
}

// releaseName is a version as releases are called.
func releaseName(version string) string { return "v" + strings.TrimPrefix(version, "v") }

// verifyBundle checks a bundle and tells what became of it.
func (a *app) verifyBundle(ctx context.Context, place string, o *bundleVerifyOptions) error {
	c := &bundleCheck{wanted: o.version.text, unsigned: o.unsigned, left: maxBundle, report: bundleReport{Bundle: place, Problems: []bundleProblem{}}}
	if o.key == "" && !o.unsigned {
		return usage("--key is missing: the public key that the bundle has to be signed with",
			whereKeysAre+"; --unsigned checks the files against a list that nobody signed")
	}
	if o.key == "-" && place == "-" {
		return usage("the bundle and the key can't both be read from stdin", "give the key itself to --key, or put one of them into a file")
	}
	info, err := os.Stat(place)
	folder := place != "-" && err == nil && info.IsDir()
	if place != "-" && err != nil {
		return readFailed("the bundle can't be read", err)
	}
	if o.key != "" {
		key, err := a.readKey(o.key, place)
		if err != nil {
			return err
		}
		c.key = &key
	}
	if folder {
		err = a.verifyFolder(ctx, c, place)
	} else {
		err = a.verifyArchive(ctx, c, place)
	}
	if err != nil {
		return err
	}
	return a.printBundle(c)
}

func (a *app) verifyFolder(ctx context.Context, c *bundleCheck, place string) error {
	root, err := os.OpenRoot(place)
	if err != nil {
		return readFailed("the bundle can't be read", err)
	}
	defer root.Close()
	if full, err := filepath.Abs(place); err == nil {
		c.called(filepath.Base(full))
	}
	c.shown = a.progress("checking", 0, byteText)
	defer c.shown.end()
	return c.folder(ctx, root)
}

func (a *app) verifyArchive(ctx context.Context, c *bundleCheck, place string) error {
	in, err := a.openInput(place, "the bundle")
	if err != nil {
		return readFailed("the bundle can't be read", err)
	}
	defer in.Close()
	c.called(strings.TrimSuffix(filepath.Base(place), ".tar"))
	c.shown = a.progress("checking", in.size(), byteText)
	defer c.shown.end()
	return c.archive(ctx, in)
}

// printBundle tells the verdict.
func (a *app) printBundle(c *bundleCheck) error {
	r := c.verdict()
	switch {
	case !r.Signed && c.key == nil:
		a.warn("--unsigned proves only that the files are as the list says: whoever changed one may have changed the list, too")
	case !r.Signed && r.OK:
		a.warn("the bundle is not signed, and its files are as the list says: whoever changed one may have changed the list, too")
	}
	if c.open != "" && r.OK {
		a.warn("%s: others may change what was checked; copy the bundle into a folder that is yours alone, check it there, and install from there", printable(c.open))
	}
	if own := releaseName(version()); olderRelease(r.Version, own) && r.OK {
		a.warn("the bundle is %s, older than this husk, %s: its programs do not open a store that a newer one has upgraded", r.Version, own)
	}
	if err := a.printBundleReport(r); err != nil || r.OK {
		return err
	}
	return &failure{code: exitInvalid, what: fmt.Sprintf("%s is not what it has to be: %d problem(s)", bundleName(r.Bundle), len(r.Problems)+r.More),
		next: "install nothing of it; get it anew from where it was made, and check that"}
}

func bundleName(place string) string {
	if place == "-" {
		return "the bundle"
	}
	return place
}

func (a *app) printBundleReport(r bundleReport) error {
	if a.settings.JSON {
		return a.printJSON(r)
	}
	for _, p := range r.Problems {
		line := p.Text
		if p.File != "" {
			line = p.File + ": " + line
		}
		if _, err := fmt.Fprintln(a.stdout, printable(line)); err != nil {
			return err
		}
	}
	if r.More > 0 {
		if _, err := fmt.Fprintf(a.stdout, "and %d more\n", r.More); err != nil {
			return err
		}
	}
	text := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	by := "nobody"
	if r.Signed {
		by = "key ID " + r.Key
	} else if r.Key != "" {
		by = "not proved; it names key ID " + r.Key
	}
	return a.pairs("version", text(r.Version), "date", text(r.Date), "signed by", by,
		"as listed", fmt.Sprintf("%d files, %s", r.Files, byteText(r.Bytes)), "problems", fmt.Sprint(len(r.Problems)+r.More), "sound", yesNo(r.OK))
}

// absent is what is said where there is no list: it is no bundle.
func absentList(place string) error {
	return &failure{code: exitNotFound, err: fs.ErrNotExist, what: "there is no " + listName + " in " + bundleName(place) + ": it is no bundle, or not all of one",
		next: "name the folder that the bundle was unpacked to, or its tar"}
}
