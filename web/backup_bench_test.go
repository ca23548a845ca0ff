package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest"
	"husk/db/dbtest/large"
	"husk/web/password"
	"husk/web/session"
	"husk/web/token"
)

// backedUp is how many tokens the store has that is backed up here: some 300
// MB, so that a backup takes a while.
const backedUp = 100_000

func backupServer(b *testing.B) (*Server, string) {
	dir := large.Copy(b, backedUp)
	s, err := New(Config{
		Store: large.Open(b, filepath.Join(dir, "husk.db")), Log: slog.New(slog.DiscardHandler), Version: "bench", Dir: dir,
		Passwords: password.New(password.Config{Params: password.InsecureTestParams()}),
		OpenCopy: func(path string) (db.Engine, error) {
			e, err := bolt.Open(path, bolt.Options{})
			if err != nil {
				return nil, err
			}
			return e, nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	return s, dir
}

// copier copies the store into a file again and again, in a thread of its own,
// so that its processor time can be told from that of the others.
type copier struct {
	end    atomic.Bool
	done   sync.WaitGroup
	copies int
	bytes  int64
	cpu    time.Duration
	took   time.Duration
}

func startCopier(b *testing.B, store *db.Store, dir string) *copier {
	c := &copier{}
	c.done.Go(func() {
		runtime.LockOSThread() // and is not unlocked: the thread ends with this
		began, before := time.Now(), threadTime(b)
		for !c.end.Load() {
			n, err := copyStore(store, dir)
			if err != nil {
				b.Error(err)
				return
			}
			c.copies, c.bytes = c.copies+1, c.bytes+n
		}
		c.took, c.cpu = time.Since(began), threadTime(b)-before
	})
	return c
}

func (c *copier) stop() {
	c.end.Store(true)
	c.done.Wait()
}

// copyStore is what a backup does while its read transaction lasts.
func copyStore(store *db.Store, dir string) (n int64, err error) {
	f, err := os.CreateTemp(dir, "copy-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := store.Engine().(db.Backuper).Backup(context.Background(), f); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// BenchmarkCheckDuringBackup is BenchmarkCheck while the store is copied again
// and again, beside the floor as beside Husk. The processor time of the copying
// itself is not counted.
//
//	go test ./web -run '^$' -bench CheckDuringBackup -benchtime 20000x
func BenchmarkCheckDuringBackup(b *testing.B) {
	s, dir := backupServer(b)
	floor := echo.New()
	body := []byte(`{"floor":"` + strings.Repeat("0", 139) + `"}`)
	floor.GET("/account/profile", func(c echo.Context) error { return c.JSONBlob(http.StatusOK, body) })
	for _, c := range []struct{ name, header string }{
		{"X-API-TOKEN", "X-API-TOKEN: " + large.Secret(0)},
		{"Bearer", "Authorization: Bearer " + benchSession(b, s.Store)},
	} {
		b.Run(c.name, func(b *testing.B) {
			base, own := dialBench(b, &http.Server{Handler: floor}, ""), dialBench(b, s.HTTPServer(), c.header)
			base.run(b, 500)
			own.run(b, 500)
			const turn = 2500
			var ratios, each []float64
			copies := 0
			for n := 0; n < b.N; n += turn {
				floorCPU, _ := checksDuringCopies(b, s.Store, dir, base, turn)
				ownCPU, made := checksDuringCopies(b, s.Store, dir, own, turn)
				copies += made
				ratios, each = append(ratios, float64(ownCPU)/float64(floorCPU)), append(each, float64(ownCPU.Nanoseconds())/turn)
			}
			b.ReportMetric(median(each), "cpu-ns/op")
			b.ReportMetric(median(ratios), "x-floor")
			b.ReportMetric(0, "ns/op")
			b.Log(dbtest.Figures("check-during-backup", "credential", c.name, "cpu_us", fmt.Sprintf("%.1f", median(each)/1000),
				"x_floor", fmt.Sprintf("%.2f", median(ratios)), "copies", copies))
		})
	}
}

// checksDuringCopies returns what n checks took in processor time, but for the
// thread that copies, which is at work from the first check to the last.
func checksDuringCopies(b *testing.B, store *db.Store, dir string, client *benchClient, n int) (cpu time.Duration, copies int) {
	before := cpuTime(b)
	c := startCopier(b, store, dir)
	client.run(b, n)
	c.stop()
	return cpuTime(b) - before - c.cpu, c.copies
}

// benchSession signs the single user in and returns the JWT.
func benchSession(b *testing.B, store *db.Store) string {
	r, secret, err := store.CreateSession(b.Context(), benchActor, db.SignIn{User: db.SingleUser, TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	keys, err := store.Keys(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	jwt, err := session.Sign(keys.Signing, r, secret)
	if err != nil {
		b.Fatal(err)
	}
	return jwt
}

var benchActor = &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}

// BenchmarkBackupSpeed measures a backup as a client gets it: copied, proved, hashed
// and sent. And the copy alone, which is how long the snapshot is held.
//
//	go test ./web -run '^$' -bench BackupSpeed -benchtime 5x
func BenchmarkBackupSpeed(b *testing.B) {
	s, dir := backupServer(b)
	addr := listenBench(b, s.HTTPServer())
	secret, id := token.New()
	sum := token.Hash(secret)
	if _, err := s.Store.CreateToken(b.Context(), benchActor, db.NewToken{ID: id, Hash: sum[:]}); err != nil {
		b.Fatal(err)
	}
	var whole, copying []float64
	size := 0.0
	for range b.N {
		began := time.Now()
		n, err := downloadBackup(addr, secret)
		if err != nil {
			b.Fatal(err)
		}
		size = float64(n) / (1 << 20)
		whole = append(whole, size/time.Since(began).Seconds())
		began = time.Now()
		if _, err := copyStore(s.Store, dir); err != nil {
			b.Fatal(err)
		}
		copying = append(copying, size/time.Since(began).Seconds())
	}
	b.ReportMetric(median(whole), "MB/s")
	b.ReportMetric(median(copying), "copy-MB/s")
	b.ReportMetric(0, "ns/op")
	b.Log(dbtest.Figures("backup-speed", "size_MB", fmt.Sprintf("%.0f", size), "MB_per_s", fmt.Sprintf("%.0f", median(whole)), "copy_MB_per_s", fmt.Sprintf("%.0f", median(copying))))
}

func downloadBackup(addr, token string) (int64, error) {
	r, err := http.NewRequest("GET", "http://"+addr+"/system/backup", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("X-API-TOKEN", token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("answer %s", answer.Status)
	}
	return io.Copy(io.Discard, answer.Body)
}

// BenchmarkGrowth lets four writers mint while the store is copied again and
// again, and as many tokens without that, and tells by how much the file grew:
// what a snapshot still sees can't be used again.
//
//	go test ./web -run '^$' -bench Growth -benchtime 5x
func BenchmarkGrowth(b *testing.B) {
	const writers = 4
	grow := func(copying bool, tokens int) (grown, copies int64) {
		s, dir := backupServer(b)
		path := filepath.Join(dir, "husk.db")
		before := fileBytes(b, path)
		var c *copier
		if copying {
			c = startCopier(b, s.Store, dir)
		}
		var made atomic.Int64
		var working sync.WaitGroup
		for range writers {
			working.Go(func() {
				for made.Add(1) <= int64(tokens) {
					if err := mintOne(s.Store); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		working.Wait()
		if copying {
			c.stop()
			copies = int64(c.copies)
		}
		return fileBytes(b, path) - before, copies
	}
	tokens := 2000 * b.N
	with, copies := grow(true, tokens)
	without, _ := grow(false, tokens)
	b.ReportMetric(float64(with)/float64(tokens), "B/token")
	b.ReportMetric(float64(without)/float64(tokens), "B/token-without")
	b.ReportMetric(0, "ns/op")
	b.Log(dbtest.Figures("growth-during-backup", "tokens", tokens, "copies", copies, "grown_MB", fmt.Sprintf("%.1f", float64(with)/(1<<20)), "without_MB", fmt.Sprintf("%.1f", float64(without)/(1<<20))))
}

func fileBytes(b *testing.B, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}
