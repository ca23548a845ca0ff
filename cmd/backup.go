package cmd

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"husk/db/archive"
	"husk/web/api"
)

type backupOptions struct {
	output         string
	force          bool
	recipients     *list
	recipientsFile string
}

func (a *app) backupCommand() *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup --output FILE|-",
		Short: "Write a backup: a tar of husk.db and manifest.json",
		Long: `Write a backup: a tar of husk.db and manifest.json, a consistent snapshot, also
while the server runs. FILE gets mode 0600 and is put in place when it is whole
and proved. One that is there is replaced with --force alone, what is no regular
file never, nor an encrypted backup by one that is not.

A backup holds every password hash and signing key: keep it as you keep those,
or encrypt it to the public key of an age key pair (age-encryption.org). Then
only who has the secret key can read it, and this machine need not have that.
The secret key of any one recipient is enough.`,
		Example: `  husk backup --output /var/backups/husk.tar
  husk backup --output "/var/backups/husk-$(date +%F).tar"
  husk backup --output - | ssh elsewhere 'cat > husk.tar'
  husk backup --output husk.tar.age --recipient age1…
  husk backup list`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.backup(cmd.Context(), o) },
	}
	pathVar(cmd.Flags(), &o.output, "output", "the file to write, or - for stdout")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace FILE where it is there")
	o.recipients = newRecipients()
	cmd.Flags().Var(o.recipients, "recipient", "encrypt to this age recipient, age1…; repeatable")
	pathVar(cmd.Flags(), &o.recipientsFile, "recipients-file", "encrypt to the age recipients in this file, one a line")
	cmd.AddCommand(a.backupListCommand())
	return cmd
}

func (a *app) backup(ctx context.Context, o backupOptions) error {
	if o.output == "" {
		return usage("husk backup needs --output", "name a file, or - for stdout")
	}
	encrypt, err := a.sealOf(o)
	if err != nil {
		return err
	}
	if toStdout(o.output) {
		if err := a.notForATerminal(); err != nil {
			return err
		}
		return orInterrupted(ctx, a.use(ctx, false, func(s *session) error {
			_, err := a.fetch(ctx, s, wantedWriter{a, a.stdout}, "stdout", encrypt)
			return writeFailure("stdout", err)
		}))
	}
	manifest, err := a.backupTo(ctx, o, encrypt)
	if err != nil {
		return orInterrupted(ctx, err)
	}
	if a.settings.JSON {
		return a.printJSON(manifest)
	}
	form := ""
	if encrypt != nil {
		form = ", encrypted"
	}
	a.say("%s holds %d users and %d tokens, %d bytes%s.", printable(o.output), manifest.Counts["users"], manifest.Counts["tokens"], manifest.Size, form)
	return nil
}

// sealOf returns how to encrypt; nil: not at all.
func (a *app) sealOf(o backupOptions) (seal, error) {
	all := o.recipients.items
	if o.recipientsFile != "" {
		more, err := a.readRecipients(o.recipientsFile)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return sealTo(all)
}

// notForATerminal refuses a terminal, which a backup would only confuse.
func (a *app) notForATerminal() error {
	if f, ok := a.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return usage("a backup is not for a terminal", "name a file with --output, or pipe it on")
	}
	return nil
}

// open begins the file. What is not encrypted never gets the name of what
// is: who looks for a backup that may lie around would take it for one.
func (o backupOptions) open(encrypt seal) (*outputFile, error) {
	out := destination{path: o.output, what: "the backup", force: o.force}
	if encrypt == nil {
		if strings.EqualFold(filepath.Ext(o.output), ".age") {
			return nil, usage("the backup would not be encrypted, and "+printable(o.output)+" is the name of one that is", "nothing was changed; encrypt it with --recipient, or leave .age out")
		}
		out.refuse = func(there *os.File) error {
			if !encrypted(there) {
				return nil
			}
			return &failure{code: exitConflict, what: printable(o.output) + " is encrypted, and this backup would not be",
				next: "nothing was changed; encrypt it with --recipient, or name another file"}
		}
	}
	return out.open()
}

// backupTo writes the backup beside its place, reads it back, and puts it
// there.
func (a *app) backupTo(ctx context.Context, o backupOptions, encrypt seal) (m archive.Manifest, err error) {
	f, err := o.open(encrypt)
	if err != nil {
		return m, err
	}
	defer f.discard()
	written := sha256.New()
	err = a.use(ctx, false, func(s *session) (err error) {
		m, err = a.fetch(ctx, s, io.MultiWriter(f, written), absolute(o.output), encrypt)
		return writeFailure(o.output, err)
	})
	if err != nil {
		return m, err
	}
	if _, err := archive.ReadBack(f.File, written.Sum(nil)); err != nil {
		return m, f.failed(err)
	}
	if f.Exposed && encrypt == nil {
		a.warn("others may read %s, whose file system keeps no file modes: encrypt it with --recipient, or mount that for its owner alone (umask=077)", printable(o.output))
	}
	return m, f.place()
}

// absolute is where a file is, whatever folder one is in.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// fetch writes a backup to w as it comes, encrypted where that is asked for,
// and proves it on its way: so what is encrypted is never on a disk in clear.
// to is what the audit log is told of its place.
func (a *app) fetch(ctx context.Context, s *session, w io.Writer, to string, encrypt seal) (m archive.Manifest, err error) {
	p := a.progress("backup", 0, byteText)
	defer p.end()
	out := io.WriteCloser(unsealed{w})
	if encrypt != nil {
		if out, err = encrypt(w); err != nil {
			return m, err
		}
	}
	unread, read := io.Pipe()
	proved := make(chan error, 1)
	go func() {
		err := a.guard(func() (err error) {
			m, err = readBackup(ctx, unread, io.Discard)
			_, _ = io.Copy(io.Discard, unread)
			return err
		})
		unread.Close()
		proved <- err
	}()
	err = s.Backup(ctx, p.writer(io.MultiWriter(out, read)), to)
	read.Close()
	if bad := <-proved; err == nil {
		err = bad
	}
	if err != nil {
		// Not closed: an encrypted stream without its end is refused.
		return m, s.brokenOff(err, m)
	}
	return m, out.Close()
}

type unsealed struct{ io.Writer }

func (unsealed) Close() error { return nil }

// brokenOff tells a backup that began and did not end from one that nobody
// answered.
func (s *session) brokenOff(err error, m archive.Manifest) error {
	var gone *api.UnreachableError
	if errors.As(err, &gone) && m.SHA256 != "" && !errors.Is(err, context.Canceled) {
		if s.why != nil && s.why() != "" {
			return &failure{code: exitFailure, err: err, what: "the backup broke off: " + s.why()}
		}
		return &failure{code: exitBusy, err: err, what: "the backup broke off: the server ended the connection", next: "its log says why; try again"}
	}
	return err
}

// writeFailure says that output could not be written where err is of the
// system, and why.
func writeFailure(output string, err error) error {
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &errno) || isUnreachable(err):
		return err
	}
	f := fileFailure(exitFailure, "", err)
	f.what = "the backup can't be written: " + printable(plainWriteError(output, err))
	return f
}

func isUnreachable(err error) bool {
	var gone *api.UnreachableError
	return errors.As(err, &gone)
}

// errNoBackup says that what was read is no whole backup.
func errNoBackup(why string, err error) error {
	return &failure{code: exitInvalid, err: err, what: "that is no whole backup: " + why, next: "a backup is the tar that 'husk backup' writes"}
}

// readBackup is archive.Read in the words of the command line.
func readBackup(ctx context.Context, r io.Reader, w io.Writer) (archive.Manifest, error) {
	m, err := archive.Read(ctx, r, w)
	var invalid *archive.InvalidError
	if errors.As(err, &invalid) {
		err = errNoBackup(invalid.Why, err)
	}
	return m, err
}
