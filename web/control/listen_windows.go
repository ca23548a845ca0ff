package control

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"husk/db/fsys"
)

// On Windows the control socket is a named pipe: unlike its AF_UNIX sockets a pipe
// tells whose the token at its other end is, has an access list from its first
// moment, and is there in every version and beside every file system.
//
// Names of pipes belong to nobody, and whoever comes first has one. So a pipe has
// a name that nobody can guess, for one run of a server, and Name in the data
// folder is a file that holds it: who may not read there does not find the way, and
// who may not write there leads nobody elsewhere. Four things have to hold, any
// of which would do for most attacks:
//
//   - the access list of the pipe lets in its server's user, the system and the
//     administrators alone, and nobody of another machine;
//   - the server asks for the token of the client, once it has sent something, and
//     takes it for the owner by that alone (Peer.Owner);
//   - the client asks whose the pipe is, and says nothing where that is neither the
//     owner of the data folder nor one of those whom it trusts anyway;
//   - the client lends the server its name, and not its rights.

// pipePrefix is what the name of each pipe begins with.
const pipePrefix = `\\.\pipe\husk-`

// pipeBuffer is how much waits in the pipe for a reader, in bytes, either way.
const pipeBuffer = 64 << 10

var pipeName = regexp.MustCompile(`^\\\\\.\\pipe\\husk-[0-9A-Z]{26}$`)

// Listen listens for the data folder dir. The caller holds the lock of the data
// file, so a name found there has no server: it is replaced. Anything else found
// there is left alone and named in the error. Close removes the name: close the
// listener first, then the data file.
//
// Accepted connections are of the type *Conn.
func Listen(dir string) (net.Listener, error) {
	l, err := listen(filepath.Join(dir, Name))
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

func listen(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	me, err := fsys.Me()
	if err != nil {
		return nil, err
	}
	pipe := pipePrefix + rand.Text()
	l, err := winio.ListenPipe(pipe, &winio.PipeConfig{SecurityDescriptor: me.PrivateTo(""), InputBufferSize: pipeBuffer, OutputBufferSize: pipeBuffer})
	if err != nil {
		return nil, err
	}
	own := &listener{Listener: l, path: path}
	if err := own.tell(pipe); err != nil {
		return nil, errors.Join(err, own.Close())
	}
	return own, nil
}

func removeStale(path string) error {
	_, err := readName(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errNoName):
		return fmt.Errorf("%s is in the way and is no control socket: move it elsewhere", path)
	case err != nil:
		return err
	}
	return os.Remove(path)
}

// errNoName says that what stands in a file is not the name of a pipe.
var errNoName = errors.New("it does not hold the name of a control socket")

// readName reads the name of the pipe. A server that was killed while it wrote has
// left an empty file, which is an empty name.
func readName(path string) (string, error) {
	f, err := fsys.OpenPlain(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errNoName
	}
	text := make([]byte, 128)
	n, err := f.ReadAt(text, 0)
	if n == 0 {
		return "", nil
	}
	name := string(text[:n-1])
	if err == nil || text[n-1] != '\n' || !pipeName.MatchString(name) {
		return "", errNoName
	}
	return name, nil
}

// listener removes the file with its name when it is closed.
type listener struct {
	net.Listener
	path string
	made bool
	once sync.Once
	err  error
}

// tell writes the name where clients look for it.
func (l *listener) tell(pipe string) error {
	f, err := fsys.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	l.made = true
	_, err = f.WriteString(pipe + "\n")
	return errors.Join(err, f.Close())
}

// Elsewhere answers false: a pipe needs nothing of a file system.
func Elsewhere(net.Listener) bool { return false }

// Close removes the name. A second Close does nothing.
func (l *listener) Close() error {
	l.once.Do(func() {
		if l.made {
			_ = os.Remove(l.path)
		}
		l.err = l.Listener.Close()
	})
	return l.err
}

// Accept returns a *Conn, whose peer is known once its preface was read.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	pipe := &pipeConn{Conn: c}
	return &Conn{Conn: &prefaced{Conn: pipe, state: errNotYet}, who: pipe.who}, nil
}

// pipeConn is an end of a pipe, whose errors are those of other connections.
type pipeConn struct {
	net.Conn
	peer atomic.Pointer[Peer] // nil: not known
}

func (c *pipeConn) who() (Peer, bool) {
	if p := c.peer.Load(); p != nil {
		return *p, true
	}
	return Peer{}, false
}

// Read implements net.Conn.
func (c *pipeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, plain(err)
}

// Write implements net.Conn.
func (c *pipeConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, plain(err)
}

func plain(err error) error {
	if errors.Is(err, winio.ErrTimeout) {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (c *pipeConn) handle() (windows.Handle, bool) {
	file, ok := c.Conn.(interface{ Fd() uintptr })
	if !ok {
		return 0, false
	}
	return windows.Handle(file.Fd()), true
}

var (
	advapi32                   = windows.NewLazySystemDLL("advapi32.dll")
	impersonateNamedPipeClient = advapi32.NewProc("ImpersonateNamedPipeClient")
	kernel32                   = windows.NewLazySystemDLL("kernel32.dll")
	getNamedPipeClientProcess  = kernel32.NewProc("GetNamedPipeClientProcessId")
)

// meet finds out who the client is. The system tells that once something of it was
// read. Where it does not tell, nobody is known to be there.
func (c *pipeConn) meet() {
	h, ok := c.handle()
	if !ok {
		return
	}
	user, err := clientOf(h)
	if err != nil {
		return
	}
	var pid uint32
	_, _, _ = getNamedPipeClientProcess.Call(uintptr(h), uintptr(unsafe.Pointer(&pid)))
	c.peer.Store(&Peer{UID: -1, SID: user.SID.String(), Elevated: user.Elevated, PID: int(pid)})
}

// clientOf tells whose the token is that the client of a pipe had when it
// connected. A process id would not do: it may be another process's by now.
func clientOf(h windows.Handle) (user fsys.User, err error) {
	// A goroutine of its own: where the thread can't go back, it ends with it.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if ok, _, errno := impersonateNamedPipeClient.Call(uintptr(h)); ok == 0 {
			runtime.UnlockOSThread()
			err = os.NewSyscallError("ImpersonateNamedPipeClient", errno)
			return
		}
		user, err = threadUser()
		if back := windows.RevertToSelf(); back != nil {
			err = errors.Join(err, os.NewSyscallError("RevertToSelf", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	<-done
	return user, err
}

// threadUser tells as whom the thread works.
func threadUser() (fsys.User, error) {
	thread, err := windows.GetCurrentThread()
	if err != nil {
		return fsys.User{}, err
	}
	var token windows.Token
	if err := windows.OpenThreadToken(thread, windows.TOKEN_QUERY, true, &token); err != nil {
		return fsys.User{}, os.NewSyscallError("OpenThreadToken", err)
	}
	defer token.Close()
	return fsys.UserOf(token, token)
}

// Owner tells whether the peer is who the data file belongs to: this process, its
// user, the system, or an administrator. To a server with the rights of an
// administrator its own user without them is a stranger.
func (p Peer) Owner() bool {
	me, err := fsys.Me()
	return p.Offline || p.Elevated || err == nil && !me.Elevated && p.SID == me.SID.String()
}

func (p Peer) String() string { return p.SID }

// self is this process.
func self() Peer {
	p := Peer{UID: -1, PID: os.Getpid()}
	if me, err := fsys.Me(); err == nil {
		p.SID, p.Elevated = me.SID.String(), me.Elevated
	}
	return p
}
