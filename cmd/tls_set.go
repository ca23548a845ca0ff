package cmd

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// keyPairs are the certificates of a server. The first is for all who ask for no
// host that another one names.
type keyPairs []*keyPair

// config is that of a server with modern defaults: TLS 1.2 or newer, HTTP/2.
func (k keyPairs) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return k.choose(hello), nil },
	}
}

// choose returns the certificate for the host that a client names (RFC 6066, 3):
// one that names it before one for *, and only such as the client can use.
func (k keyPairs) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	chosen, best := k[0].served.Load(), 0
	if len(k) == 1 {
		return chosen
	}
	for _, pair := range k {
		c, rank := pair.served.Load(), 1
		if hello.SupportsCertificate(c) != nil {
			continue
		}
		if slices.ContainsFunc(c.Leaf.DNSNames, func(name string) bool { return strings.EqualFold(name, hello.ServerName) }) {
			rank = 2
		}
		if rank > best {
			chosen, best = c, rank
		}
	}
	return chosen
}

// covers tells whether a certificate names a host, or what stands for hosts, such
// as *.example.com.
func (k keyPairs) covers(host string) bool {
	return slices.ContainsFunc(k, func(pair *keyPair) bool {
		return pair.served.Load().Leaf.VerifyHostname(host) == nil // one with * is held to the very name
	})
}

// expiry returns when the first of them ends.
func (k keyPairs) expiry() (first time.Time) {
	for _, pair := range k {
		if ends := pair.served.Load().Leaf.NotAfter; first.IsZero() || ends.Before(first) {
			first = ends
		}
	}
	return first
}

// stale tells whether the files of any of them can't be served.
func (k keyPairs) stale() bool {
	return slices.ContainsFunc(k, func(pair *keyPair) bool { return pair.stale.Load() })
}

// reload reads all files again, and tells whether what is in them is served.
func (k keyPairs) reload() bool {
	whole := true
	for _, pair := range k {
		whole = pair.reload() && whole
	}
	return whole
}

// tlsPairs opens the key pairs that the settings name; nil where they name none.
// Its error is about the setting.
func (a *app) tlsPairs(log *slog.Logger) (pairs keyPairs, setting string, err error) {
	const next = "give both for https, or neither"
	certs, keys := a.settings.TLSCerts, a.settings.TLSKeys
	switch {
	case len(certs) == 0 && len(keys) == 0:
		return nil, "", nil
	case len(keys) == 0:
		return nil, "tls-cert", usage("tls-cert needs tls-key", next)
	case len(certs) == 0:
		return nil, "tls-key", usage("tls-key needs tls-cert", next)
	case len(certs) != len(keys):
		return nil, "tls-key", usage(fmt.Sprintf("tls-cert names %s and tls-key %s", counted(len(certs), "file"), counted(len(keys), "file")),
			"give each certificate its key, in the same order")
	}
	for i := range certs {
		pair, err := openKeyPair(certs[i], keys[i], log)
		if err != nil {
			return nil, "tls-cert", err
		}
		pairs = append(pairs, pair)
	}
	return pairs, "", nil
}
