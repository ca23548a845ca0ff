package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"husk/db"
)

const (
	// Scheme begins the address of a store in etcd:
	// etcd://HOST[:PORT][,HOST[:PORT]…][/PREFIX].
	Scheme = "etcd://"

	defaultPort   = "2379" // of etcd, for its clients
	defaultPrefix = "husk"
	maxPrefix     = 200 // bytes
)

// ParseAddress takes an address apart into what Options want. Without a port a member has
// that of etcd; without a prefix the store is below "husk". What is no address is
// ErrInvalid, and says why.
func ParseAddress(address string) (endpoints []string, prefix string, err error) {
	rest, ok := strings.CutPrefix(address, Scheme)
	if !ok {
		return nil, "", noAddress(address, "it does not begin with "+Scheme)
	}
	if strings.Contains(rest, "@") {
		return nil, "", noAddress(Scheme+"…", "it has a name or a password in it, where everybody sees them: --etcd-user and --etcd-password-file are for them")
	}
	if i := strings.IndexAny(rest, "?# "); i >= 0 {
		return nil, "", noAddress(address, fmt.Sprintf("it has %q in it", rest[i]))
	}
	hosts, prefix, _ := strings.Cut(rest, "/")
	for host := range strings.SplitSeq(hosts, ",") {
		endpoint, why := endpointOf(host)
		if why != "" {
			return nil, "", noAddress(address, why)
		}
		if !slices.Contains(endpoints, endpoint) {
			endpoints = append(endpoints, endpoint)
		}
	}
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		prefix = defaultPrefix
	}
	if why := wrongPrefix(prefix); why != "" {
		return nil, "", noAddress(address, why)
	}
	return endpoints, prefix, nil
}

func noAddress(address, why string) error {
	return &db.Error{Kind: db.ErrInvalid, Code: "bad_store",
		Reason: fmt.Sprintf("%q is no address of a store, as etcd://10.0.0.1:2379,10.0.0.2:2379/husk is: %s", address, why)}
}

// endpointOf is HOST:PORT of one member, or why it can't be told.
func endpointOf(member string) (endpoint, why string) {
	if member == "" {
		return "", "it names no member, or one without a name"
	}
	host, port, err := net.SplitHostPort(member)
	if err != nil && !strings.Contains(strings.TrimRight(member, "]"), ":") || strings.HasPrefix(member, "[") && strings.HasSuffix(member, "]") {
		host, port, err = strings.Trim(member, "[]"), defaultPort, nil
	}
	if err != nil {
		return "", fmt.Sprintf("%q is not HOST:PORT; an IPv6 address stands in [ ]", member)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Sprintf("%q is no port", port)
	}
	if host == "" || strings.ContainsAny(host, "[]") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", fmt.Sprintf("%q names no host", member)
	}
	return net.JoinHostPort(host, port), ""
}

// wrongPrefix tells why a prefix is none.
func wrongPrefix(prefix string) string {
	if len(prefix) > maxPrefix {
		return fmt.Sprintf("its prefix has more than %d bytes", maxPrefix)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || strings.HasPrefix(part, "_") {
			return "a part of its prefix is empty, or begins with _, as Husk's own keys do"
		}
		if i := strings.IndexFunc(part, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '"' }); i >= 0 {
			return fmt.Sprintf("its prefix has %q in it", part[i:i+1])
		}
	}
	return ""
}

// Address is the address of a store, as ParseAddress takes it.
func Address(endpoints []string, prefix string) string {
	return Scheme + strings.Join(endpoints, ",") + "/" + strings.Trim(prefix, "/")
}

// TLSFiles says by which files etcd is spoken to over TLS.
type TLSFiles struct {
	CA        string // who signs the members' certificates, PEM; "": whom the machine trusts
	Cert, Key string // what they are shown, PEM; "": nothing
}

// Config reads the files. Certificate and key are read again for each connection, so that
// one that was renewed is shown without a restart. What can't be read or does not fit is
// ErrInvalid; without any file the config is nil: no TLS.
func (f TLSFiles) Config() (*tls.Config, error) {
	if f == (TLSFiles{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, badTLS("the authority (--etcd-ca) can't be read: "+err.Error(), err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, badTLS(fmt.Sprintf("%s (--etcd-ca) has no certificate in PEM", f.CA), nil)
		}
	}
	if f.Cert == "" && f.Key == "" {
		return c, nil
	}
	if f.Cert == "" || f.Key == "" {
		return nil, badTLS("a certificate needs its key, and the other way round: --etcd-cert and --etcd-key", nil)
	}
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, badTLS("the certificate that etcd is shown (--etcd-cert, --etcd-key) can't be used: "+err.Error(), err)
		}
		return &cert, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}

func badTLS(reason string, cause error) error {
	return &db.Error{Kind: db.ErrInvalid, Code: "bad_store_tls", Reason: reason, Cause: cause}
}
