package syscalls

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace")
	text := `7 pwrite64(5</d/husk.db>, "\x00\x29\x22\x2c", 4, 8192) = 4
7 fdatasync(5</d/husk.db> <unfinished ...>
8 write(1<pipe:[3]>, "a \"b), c\n", 9) = 9
8 --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL} ---
7 <... fdatasync resumed>)         = -1 EIO (Input/output error) (INJECTED)
7 openat(AT_FDCWD, "/d/x", O_RDWR|O_CLOEXEC) = 6</d/x>
8 ftruncate(5</d/husk.db>, 1077248) = ?
8 +++ exited with 0 +++
7 pwrite64(5</d/husk.db>, "cut`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	calls, err := Read(file)
	if err != nil || len(calls) != 5 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	write, sync, say, open, cut := calls[0], calls[1], calls[2], calls[3], calls[4]
	if write.Path() != "/d/husk.db" || string(write.Bytes(1)) != "\x00\x29\x22\x2c" || write.Int(3) != 8192 || !write.OK() {
		t.Errorf("write: %+v", write)
	}
	if sync.OK() || !sync.Injected || sync.Errno != "EIO" || sync.Entered != 2 || sync.Left != 5 || sync.Path() != "/d/husk.db" {
		t.Errorf("sync: %+v", sync)
	}
	if string(say.Bytes(1)) != "a \"b), c\n" || say.Thread != 8 || !say.Contains("b), c") {
		t.Errorf("say: %+v", say)
	}
	if open.Result != 6 || !slices.Equal(open.Args, []string{"AT_FDCWD", `"/d/x"`, "O_RDWR|O_CLOEXEC"}) {
		t.Errorf("open: %+v", open)
	}
	if cut.OK() || cut.Left != 0 || cut.Int(1) != 1077248 {
		t.Errorf("call that never ended: %+v", cut)
	}
}
