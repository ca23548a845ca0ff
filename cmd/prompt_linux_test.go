package cmd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal: what a person types goes into keys, what is shown
// to them comes out of it, and tty is what a program gets.
func terminal(t *testing.T) (keys, tty *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		prerequisite(t, "no terminal: "+err.Error())
	}
	t.Cleanup(func() { keys.Close() })
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		prerequisite(t, "no terminal: "+err.Error())
	}
	t.Cleanup(func() { tty.Close() })
	return keys, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// asks runs a command on the terminal until it asks for a password.
func (p program) asks(t *testing.T, tty *os.File, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := p.command(ctx, args...)
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it asks, and shows nothing that is typed", func() bool { return !echoes(t, tty) })
	return c
}

func TestPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	keys, tty := terminal(t)
	p := program{data: newData(t)}
	c := p.asks(t, tty, "passwd")
	var shown strings.Builder
	read := make([]byte, 4096)
	for !strings.Contains(shown.String(), "again: ") {
		if shown.Len() == 0 {
			fmt.Fprintln(keys, testPassword)
		}
		n, err := keys.Read(read)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(read[:n])
	}
	eventually(t, "it asks again", func() bool { return !echoes(t, tty) })
	fmt.Fprintln(keys, testPassword)
	for !strings.Contains(shown.String(), "is set") {
		n, err := keys.Read(read)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(read[:n])
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if strings.Contains(shown.String(), testPassword) {
		t.Errorf("the terminal shows %q", shown.String())
	}
	if !echoes(t, tty) {
		t.Error("the terminal is left without echo")
	}
}
