package cmd

import (
	"errors"
	"io"
	"os"

	"husk/web/factor"
	"husk/web/folder"
)

// nextSecretsKey is the next step of who has a file that is none.
const nextSecretsKey = "secrets-key-file names a file with one key a line, each 32 random bytes in base64: 'head -c 32 /dev/urandom | base64' makes one"

// sealer reads the keys of --secrets-key-file; it has none where none is named. What it
// says of the file names lines, and nothing that stands in one.
func (a *app) sealer() (*factor.Sealer, error) {
	name := a.settings.SecretsKeyFile
	if name == "" {
		return &factor.Sealer{}, nil
	}
	var text []byte
	err := folder.AsCaller(func() (err error) {
		text, err = readKeyFile(name)
		return err
	})
	var f *failure
	switch {
	case errors.As(err, &f):
		return nil, err
	case err != nil:
		return nil, fileFailure(exitCode(err), "the secrets-key-file can't be read", err)
	}
	s, err := factor.NewSealer(text)
	if err != nil {
		return nil, &failure{code: exitInvalid, err: err, what: "the secrets-key-file " + printable(name) + " can't be used: " + err.Error(), next: nextSecretsKey}
	}
	return s, nil
}

// readKeyFile reads a file with keys, where it is one that nobody else may read. A
// pipe is none: nobody may ever write to it, and a reload reads again.
func readKeyFile(name string) ([]byte, error) {
	refuse := func(why, next string) error {
		return &failure{code: exitInvalid, what: "the secrets-key-file " + printable(name) + " can't be used: " + why, next: next}
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, refuse("it is a folder", nextSecretsKey)
	case !info.Mode().IsRegular():
		return nil, refuse("it is no regular file", nextSecretsKey)
	case exposedToAll(name, info):
		return nil, refuse("others may use it", keepReaders+", and take a new key where they may have read it")
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSmall+1))
	if err == nil && len(text) > maxSmall {
		err = refuse("it is larger than 64 KiB", nextSecretsKey)
	}
	if err == nil && len(text) == 0 {
		err = refuse("it is empty", nextSecretsKey)
	}
	return text, err
}

// sealerOffline is the sealer of a command that serves itself. A key that is lost must
// not keep anybody from the store: the way back for whoever has a second factor is a
// command, too.
func (a *app) sealerOffline() *factor.Sealer {
	s, err := a.sealer()
	if err != nil {
		a.warn("%v: no code of a program can be checked", err)
		return &factor.Sealer{}
	}
	return s
}
