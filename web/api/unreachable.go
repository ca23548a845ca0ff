package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// UnreachableError says that a request got no answer.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return "husk does not answer: " + e.why() }

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

// certificateError tells why the server's certificate was not taken.
func certificateError(err error) string {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "its certificate is of an authority that this machine does not trust"
	case errors.As(err, &other):
		return "its certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has ended, or is not valid yet"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	}
	return err.Error()
}
