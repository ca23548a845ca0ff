package cmd

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"husk/web/folder"
	"husk/web/listen"
)

// certificateCheck is how often the files are looked at. A look is two calls
// of stat.
const certificateCheck = 10 * time.Second

// keyPair is a TLS certificate and its key, from two files that may be
// replaced while the server runs. What it serves is always a pair that fits:
// files that do not are left alone until they do.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger

	served atomic.Pointer[tls.Certificate]
	stale  atomic.Bool // the files can't be served, and the log says so

	mu     sync.Mutex
	seen   [2]os.FileInfo // the files of the last attempt
	untold error          // of the last attempt, not in the log yet
}

// openKeyPair reads the files for the first time.
func openKeyPair(certFile, keyFile string, log *slog.Logger) (*keyPair, error) {
	k := &keyPair{certFile: certFile, keyFile: keyFile, log: log}
	k.seen = k.stat()
	c, err := k.read(time.Now())
	if err != nil {
		return nil, err
	}
	k.serve(c)
	return k, nil
}

func (k *keyPair) serve(c *tls.Certificate) {
	k.served.Store(c)
	k.log.Info("a TLS certificate is served from now on", "names", c.Leaf.DNSNames, "expires", c.Leaf.NotAfter.UTC().Format(time.RFC3339), "file", k.certFile)
	if info := k.stat()[1]; info != nil && exposedToAll(k.keyFile, info) {
		k.log.Warn("others may use the TLS key: "+keepReaders, "file", k.keyFile, "mode", info.Mode().Perm().String())
	}
}

// read reads the pair and refuses what no client would accept at that time.
func (k *keyPair) read(now time.Time) (*tls.Certificate, error) {
	var texts [2][]byte
	for i, name := range []string{k.certFile, k.keyFile} {
		var text []byte
		err := folder.AsCaller(func() (err error) {
			text, err = os.ReadFile(name)
			return err
		})
		if err != nil {
			return nil, fileFailure(exitCode(err), "the TLS certificate or its key can't be read", err)
		}
		texts[i] = text
	}
	c, err := tls.X509KeyPair(texts[0], texts[1])
	if err == nil {
		err = checkDates(&c, now)
	}
	if err != nil {
		return nil, &failure{code: exitInvalid, err: err, next: "--tls-cert is a PEM file with the certificate and its chain, --tls-key one with its private key",
			what: fmt.Sprintf("the TLS certificate %s can't be served with the key %s: %s", k.certFile, k.keyFile, strings.TrimPrefix(err.Error(), "tls: "))}
	}
	return &c, nil
}

func checkDates(c *tls.Certificate, now time.Time) error {
	switch {
	case now.After(c.Leaf.NotAfter):
		return fmt.Errorf("it expired at %s", c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.Leaf.NotBefore):
		return fmt.Errorf("it is valid from %s on, and the clock says %s", c.Leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// watch looks at the files until ctx ends.
func (k *keyPair) watch(ctx context.Context) {
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			listen.Guard(k.log, k.look)
		}
	}
}

// look reads the files again where they have changed. Certificate and key are
// written one after the other, so a pair that does not fit is complained of at
// the next look only, where it is still the same.
func (k *keyPair) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.stat()
	if same(now[0], k.seen[0]) && same(now[1], k.seen[1]) {
		k.complain()
		return
	}
	k.attempt(now)
}

// reload reads the files again because somebody said so, and tells whether what
// is in them is served.
func (k *keyPair) reload() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempt(k.stat())
	k.complain()
	return !k.stale.Load()
}

// attempt reads the files, whose state was taken before: what changes while
// they are read is a change for the next look.
func (k *keyPair) attempt(now [2]os.FileInfo) {
	k.seen, k.untold = now, nil
	c, err := k.read(time.Now())
	if err != nil {
		k.untold = err
		return
	}
	k.stale.Store(false)
	k.serve(c)
}

func (k *keyPair) complain() {
	if k.untold == nil {
		return
	}
	k.log.Error("the TLS certificate was not replaced: the one before stays in use; mend the files, which are looked at again when they change", "error", k.untold, "expires", k.served.Load().Leaf.NotAfter.UTC().Format(time.RFC3339))
	k.stale.Store(true)
	k.untold = nil
}

// stat tells the state of both files; nil for one that is not there.
func (k *keyPair) stat() (infos [2]os.FileInfo) {
	for i, name := range []string{k.certFile, k.keyFile} {
		_ = folder.AsCaller(func() (err error) {
			infos[i], err = os.Stat(name) // nil with an error
			return err
		})
	}
	return infos
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
