package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// UnreachableError says that a request got no answer.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string {
	if proxy := proxyOf(e.Err); proxy != "" {
		return "the proxy " + proxy + " does not answer: " + e.why()
	}
	return "husk does not answer: " + e.why()
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// why tells the common causes in plain words.
func (e *UnreachableError) why() string {
	var name *net.DNSError
	var alert tls.AlertError
	switch err := e.Err; {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &name):
		return "the name of the host can't be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused, nothing listens there"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no way to that host"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), timeout(err):
		return "it took too long"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS; is it http:// there?"
	case errors.As(err, &alert):
		return "it refused the TLS connection"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was cut"
	}
	return certificateError(e.Err)
}

func timeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// proxyOf is the address of a proxy of the environment, where it is the one that
// could not be reached.
func proxyOf(err error) string {
	var through, dialled *net.OpError
	if errors.As(err, &through) && through.Op == "proxyconnect" && errors.As(through.Err, &dialled) && dialled.Addr != nil {
		return dialled.Addr.String()
	}
	return ""
}

// certificateError tells why the server's certificate was not taken.
func certificateError(err error) string {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "its certificate is of an authority that this machine does not trust"
	case errors.As(err, &other):
		return "its certificate is for " + namesOf(other.Certificate) + ", not for " + other.Host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return notNow(invalid.Cert, time.Now())
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	}
	return err.Error()
}

// namesOf tells the first few names of a certificate.
func namesOf(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "no name"
	case len(names) > 3:
		names = append(slices.Clip(names[:3]), "others")
	}
	return strings.Join(names, ", ")
}

// notNow tells whether a certificate has ended or has not begun.
func notNow(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return "its certificate is valid from " + c.NotBefore.UTC().Format(time.RFC3339) + " on, and the clock here says " + now.UTC().Format(time.RFC3339)
	}
	return "its certificate ended at " + c.NotAfter.UTC().Format(time.RFC3339)
}

// withoutURL takes the address out of net/http's error: the caller names it
// better, or it is made up, as on a socket.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
