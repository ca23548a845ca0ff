// Package large makes the large stores of tests and measurements: ten tokens
// for each user, each of them once used, a session and an ended token for each
// user, and an audit entry for each token.
package large

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
)

// TokensOfUser is how many tokens each user has.
const TokensOfUser = 10

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ID is the id of a kind's record of a number: a UUID of version 4 in form.
func ID(kind string, i int) string {
	b := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// UserID is the id of the user of a number, TokenID that of a token.
func UserID(i int) string { return ID("user", i) }

// TokenID is the id of the token of a number.
func TokenID(i int) string { return ID("token", i) }

// RequestID is that of the request that made the token of a number.
func RequestID(i int) string { return "000000000000-" + strconv.FormatInt(int64(i), 36) }

// Email is that of the user of a number.
func Email(i int) string { return fmt.Sprintf("user%06d@example.com", i) }

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Secret is the whole token of a number, for the X-API-TOKEN header. Package
// web/token tells its form.
func Secret(i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "secret %d", i))
	text := TokenID(i) + "_" + ("0" + hex.EncodeToString(sum[:]))[:43]
	check := []byte("000000")
	for n, at := crc32.ChecksumIEEE([]byte(text)), len(check)-1; n > 0; n, at = n/62, at-1 {
		check[at] = digits[n%62]
	}
	return text + string(check)
}

// AdminSecret is the secret of the session of the user of number 0, who is an
// administrator.
const AdminSecret = "of the session of an administrator"

// AdminSession is that session. Its id is that by which a secret finds it, which package
// db makes.
func AdminSession() *db.Session {
	sum, hash := sha256.Sum256([]byte("husk session id\n"+AdminSecret)), sha256.Sum256([]byte(AdminSecret))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	return &db.Session{ID: id, Hash: hash[:], User: UserID(0), Created: began, Expires: began.AddDate(20, 0, 0), IP: "192.0.2.1", UserAgent: "curl/8.14.1"}
}

// filling is the number of what Filling makes: another with each change of it.
const filling = 4

// Filling is what a store with so many tokens holds.
func Filling(tokens int) db.Filling {
	users := max(1, tokens/TokensOfUser)
	owner := func(i int) int { return i % users }
	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second) }
	return db.Filling{
		Users: users,
		User: func(i int) *db.User {
			role := db.RoleUser
			if i == 0 {
				role = db.RoleAdmin
			}
			return &db.User{ID: UserID(i), Email: Email(i), Name: fmt.Sprintf("Person %06d", i), Roles: []string{role}, Created: at(i), Updated: at(i)}
		},
		Sessions: users,
		Session: func(i int) *db.Session {
			if i == 0 {
				return AdminSession()
			}
			return &db.Session{ID: ID("session", i), User: UserID(i), Created: at(i), Expires: at(i).AddDate(20, 0, 0), IP: "192.0.2.1", UserAgent: "curl/8.14.1"}
		},
		Tokens: tokens,
		Token: func(i int) *db.Token {
			sum := sha256.Sum256([]byte(Secret(i)))
			return &db.Token{ID: TokenID(i), Owner: UserID(owner(i)), Name: fmt.Sprintf("deploy %07d", i), Hash: sum[:], Permissions: []string{},
				Expires: at(i).AddDate(20, 0, 0).Unix(), Created: at(i), Issued: at(i), Updated: at(i)}
		},
		Used: func(i int) db.LastUsed {
			return db.LastUsed{Time: at(i).Add(time.Hour), Address: "127.0.0.1", Seen: []string{"127.0.0.1"}}
		},
		Ended: users,
		EndedOf: func(i int) *db.EndedToken {
			return &db.EndedToken{ID: ID("ended", i), Owner: UserID(i), OwnerName: Email(i), Name: fmt.Sprintf("deploy %07d", i), Created: at(i), Expires: db.Never,
				Used: at(i), Address: "127.0.0.1", Ended: at(i), By: UserID(i), ByName: Email(i), Reason: db.EndedRevoked}
		},
		Events: tokens,
		Event: func(i int) db.Event {
			return db.Event{Time: at(i), Actor: UserID(owner(i)), ActorName: Email(owner(i)), Transport: db.TransportHTTP, Address: "192.0.2.1",
				Action: "token.create", Target: TokenID(i), Result: db.ResultOK, RequestID: RequestID(i), Count: 1}
		},
	}
}

// Shared returns the path of a store with so many tokens, which is not to be
// changed: it is made once and kept in the folder for temporary files for a day.
func Shared(t testing.TB, tokens int) string {
	t.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("husk-large-%d-%d-%d.db", db.SchemaVersion, filling, tokens))
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) < 24*time.Hour {
		return path
	}
	start := time.Now()
	temp := filepath.Join(t.TempDir(), "husk.db")
	must(t, bolt.Create(temp, db.Init))
	must(t, bolt.Fill(temp, func(tx db.Tx) error { return db.Fill(tx, Filling(tokens)) }))
	must(t, os.Rename(temp, path))
	t.Logf("made a store of %d tokens in %v", tokens, time.Since(start).Round(time.Millisecond))
	return path
}

// Copy returns a data folder with a copy of Shared's store.
func Copy(t testing.TB, tokens int) (dir string) {
	t.Helper()
	from, err := os.Open(Shared(t, tokens))
	must(t, err)
	defer from.Close()
	dir = t.TempDir()
	to, err := os.OpenFile(filepath.Join(dir, "husk.db"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err)
	must(t, to.Close())
	return dir
}

// Open opens a store until the test ends.
func Open(t testing.TB, path string) *db.Store {
	t.Helper()
	engine, err := bolt.Open(path, bolt.Options{})
	must(t, err)
	store, err := db.Open(t.Context(), engine, db.Options{})
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
