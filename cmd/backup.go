package cmd

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) backupCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "backup --output FILE|-",
		Short: "Write a backup: a tar of husk.db and manifest.json",
		Long: `Write a backup: a tar of husk.db and manifest.json, a consistent snapshot, also
while the server runs. FILE gets mode 0600 and is put in place when it is whole
and proved.

A backup holds every password hash and signing key: keep it as you keep those.`,
		Example: `  husk backup --output /var/backups/husk.tar
  husk backup --output - | ssh elsewhere 'cat > husk.tar'`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output == "" {
				return usage("husk backup needs --output", "name a file, or - for stdout")
			}
			return a.backup(cmd.Context(), output)
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "the file to write, or - for stdout")
	return cmd
}

func (a *app) backup(ctx context.Context, output string) error {
	return a.use(ctx, false, func(s *session) error {
		if output == "-" {
			return s.Backup(ctx, a.stdout)
		}
		manifest, err := backupTo(ctx, s, output)
		if err != nil {
			return err
		}
		if a.settings.JSON {
			return a.printJSON(manifest)
		}
		a.say("%s holds %d users and %d tokens, %d bytes.", output, manifest.Counts["users"], manifest.Counts["tokens"], manifest.Size)
		return nil
	})
}

// backupTo writes the backup beside its place, reads it back, and renames it.
func backupTo(ctx context.Context, s *session, output string) (m api.Manifest, err error) {
	f, err := createPrivate(filepath.Dir(output), ".husk-backup-*")
	if err != nil {
		return m, &failure{code: exitFailure, err: err, what: "the backup can't be written: " + plainWriteError(output, err)}
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := s.Backup(ctx, f); err != nil {
		return m, err
	}
	if err := f.Sync(); err != nil {
		return m, fmt.Errorf("write the backup: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return m, err
	}
	if m, err = readBackup(f, io.Discard); err != nil {
		return m, err
	}
	if err := os.Rename(f.Name(), output); err != nil {
		return m, fmt.Errorf("put the backup in place: %w", err)
	}
	return m, syncDir(filepath.Dir(output))
}

// errNoBackup says that what was read is no whole backup.
func errNoBackup(why string, err error) error {
	return &failure{code: exitInvalid, err: err, what: "that is no whole backup: " + why, next: "a backup is the tar that 'husk backup' writes"}
}

// readBackup reads a backup, copies the store in it to w, and checks it
// against its manifest.
func readBackup(r io.Reader, w io.Writer) (m api.Manifest, err error) {
	in := tar.NewReader(r)
	h, err := in.Next()
	if err != nil || h.Name != api.BackupManifest {
		return m, errNoBackup("it does not begin with "+api.BackupManifest, err)
	}
	if err := json.NewDecoder(io.LimitReader(in, 1<<20)).Decode(&m); err != nil {
		return m, errNoBackup("its manifest can't be read", err)
	}
	if h, err = in.Next(); err != nil || h.Name != api.BackupStore || h.Size != m.Size {
		return m, errNoBackup("it holds no "+api.BackupStore+" of the size that its manifest says", err)
	}
	sum := sha256.New()
	if n, err := io.Copy(w, io.TeeReader(in, sum)); err != nil || n != m.Size {
		var short *os.PathError
		if errors.As(err, &short) {
			return m, fmt.Errorf("copy the store out of the backup: %w", err)
		}
		return m, errNoBackup("it is cut short", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != m.SHA256 {
		return m, errNoBackup(api.BackupStore+" does not match the SHA-256 of its manifest", nil)
	}
	return m, nil
}

// createPrivate makes a temporary file that its owner alone may read and
// write, whatever the umask.
func createPrivate(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// syncDir makes a rename in the folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
