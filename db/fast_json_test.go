package db_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// writtenRecords are records of all kinds that read themselves, in all shapes
// that Marshal gives them; plainly tells that they are not left to encoding/json.
func writtenRecords() (records []any, plainly []bool) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	add := func(plain bool, all ...any) {
		for _, r := range all {
			records, plainly = append(records, r), append(plainly, plain)
		}
	}
	add(true,
		&db.User{ID: "u", Roles: []string{}, Created: at, Updated: at},
		&db.User{ID: "u", Email: "jürgen@bücher.example", Name: "山田 太郎", Roles: []string{"admin", "user"}, Password: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
			MustChange: true, Imported: true, Disabled: true, Devices: 1<<64 - 1, Created: at, Updated: at, LastLogin: at.Truncate(time.Second)},
		&db.Token{ID: "t", Owner: "u", Name: "deploy", Description: "d", Hash: []byte{0, 1, 254, 255}, Permissions: []string{"a", "b", "c"}, Expires: db.Never, Created: at, Issued: at, Updated: at},
		&db.Token{Hash: []byte{1}, Permissions: []string{}, Reach: db.Reach{AllowedHosts: []string{"*.example.com", "::1"}, AllowedPaths: []string{"/café"}, AllowedMethods: []string{"GET"}}, Created: at},
		&db.Token{Hash: []byte{1}, Permissions: []string{}, Reach: db.Reach{AllowedPaths: []string{"/"}}},
		&db.Token{Hash: []byte{}, Permissions: []string{}, Expires: 1<<63 - 1, Created: at.In(time.FixedZone("", 3600))},
		&db.Session{ID: "s", Hash: []byte("0123456789abcdef"), User: "u", Created: at, Expires: at, IP: "::1", UserAgent: "curl/8.14.1"},
		&db.Session{ID: "s", Hash: []byte("0123456789abcdef"), Created: at, Expires: at, Proved: at},
		&db.Session{ID: "s", Hash: []byte("0123456789abcdef"), User: "u", Created: at, Expires: at, Proved: at, Methods: []string{"password", "totp"}, Factored: at.Add(time.Second)},
		&db.User{ID: "u", Roles: []string{"user"}, Factors: []string{"passkey", "totp"}, Created: at, Updated: at},
		&db.LastUsed{Time: at, Address: "192.0.2.1", Old: at, Seen: []string{"192.0.2.1", "::1"}},
		&db.LastUsed{Time: at},
		&db.LastUsed{Time: at, Day: "2026-01-02", Requests: []uint64{1, 0, 1<<64 - 1}},
		&db.Event{Seq: 1<<64 - 1, Time: at, Actor: "u", ActorName: "a@b", Transport: "http", Address: "::1", Action: "token.use", Target: "t", TargetName: "n", Result: "ok", RequestID: "r", Count: -7, Prev: "00ff"},
		&db.Event{},
	)
	add(false,
		&db.User{Name: `a "quoted" <name> & \`, Roles: []string{"a\nb"}},
		&db.User{Name: "a\xffb"},
		&db.User{}, // roles are null
		&db.Token{Previous: &db.OldSecret{Hash: []byte{1}, Ends: 5}, Permissions: []string{}},
		&db.Token{Next: &db.NextSecret{Hash: []byte{1}, Expires: 5}, Permissions: []string{}},
		&db.Token{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Hash: []byte{1}, Permissions: []string{}},
		&db.Token{Hash: []byte{1}, Permissions: []string{}, Reach: db.Reach{AllowedPaths: []string{"/a&b"}}},
		&db.Session{Hash: []byte{1}, Proved: at, Passes: []db.Pass{{Hash: []byte{1}, Scope: "a.example.com"}}},
		&db.LastUsed{Seen: []string{"\u2028"}},
	)
	return records, plainly
}

// What Marshal writes is read back the same as by encoding/json, and what is
// common is read without it.
func TestWritten(t *testing.T) {
	records, plainly := writtenRecords()
	for i, r := range records {
		value, err := json.Marshal(r)
		must(t, err)
		want, got := reflect.New(reflect.TypeOf(r).Elem()).Interface(), reflect.New(reflect.TypeOf(r).Elem()).Interface()
		must(t, json.Unmarshal(value, want))
		must(t, db.Unmarshal(value, got))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, not %+v", value, got, want)
		}
		if db.ReadsFast(value, got) != plainly[i] {
			t.Errorf("%s: read by itself: %v", value, !plainly[i])
		}
	}
}

// Each member that a record has is one that it reads: a new one must not make
// all records be read the slow way.
func TestWrittenKnowsAllMembers(t *testing.T) {
	for _, r := range []any{&db.User{}, &db.Token{}, &db.Session{}, &db.LastUsed{}, &db.Event{}} {
		v := reflect.ValueOf(r).Elem()
		for _, field := range reflect.VisibleFields(v.Type()) {
			if field.Anonymous {
				continue
			}
			switch f := v.FieldByIndex(field.Index).Addr().Interface().(type) {
			case *string:
				*f = "x"
			case *[]string:
				*f = []string{"x", "y"}
			case *[]byte:
				*f = []byte("x")
			case *[]uint64:
				*f = []uint64{0, 7}
			case *bool:
				*f = true
			case *int:
				*f = 7
			case *int64:
				*f = 7
			case *uint64:
				*f = 7
			case *time.Time:
				*f = time.Unix(7, 7).UTC()
			case **db.OldSecret, **db.NextSecret, *[]netip.Prefix, *[]db.Pass: // rare
			default:
				t.Fatalf("%T.%s has a type that this test does not know", r, field.Name)
			}
		}
		value, err := json.Marshal(r)
		must(t, err)
		got := reflect.New(v.Type()).Interface()
		if !db.ReadsFast(value, got) || !reflect.DeepEqual(got, r) {
			t.Errorf("%s is not read as it is written: %+v", value, got)
		}
	}
}

// Whatever stands there: what is read without encoding/json is what that
// reads, and the rest is its own answer.
func FuzzFastJSON(f *testing.F) {
	records, _ := writtenRecords()
	for _, r := range records {
		value, err := json.Marshal(r)
		must(f, err)
		text := string(value)
		f.Add(value)
		f.Add([]byte(text[:len(text)-1]))
		f.Add([]byte(text + " "))
		f.Add([]byte(text + text))
		f.Add([]byte(strings.Replace(text, ",", ",,", 1)))
		f.Add([]byte(strings.Replace(text, "{", "{,", 1)))
		f.Add([]byte(strings.Replace(text, "[", "[,", 1)))
		f.Add([]byte(strings.Replace(text, "]", ",]", 1)))
		f.Add([]byte(strings.Replace(text, "true", "false", 1)))
		f.Add([]byte(strings.Replace(text, "true", "truest", 1)))
		f.Add([]byte(strings.ToUpper(text)))
		f.Add([]byte(strings.ReplaceAll(text, "2026", "26")))
		for _, n := range []string{"07", "-", "-0", "1.5", "1e3", "9223372036854775808", "-9223372036854775808", "18446744073709551616", "null", `"7"`} {
			f.Add([]byte(`{"seq":` + n + `}`))
			f.Add([]byte(`{"expires":` + n + `}`))
			f.Add([]byte(`{"count":` + n + `}`))
		}
	}
	for _, text := range []string{``, `{`, `{}`, `null`, `{"id":null}`, `{"id":"a","id":"b"}`, `{"owner":"b","id":"a"}`, "{\"id\":\"\xff\"}", "{\"id\":\"\n\"}",
		`{"hash":"AQ"}`, `{"hash":"A=Q="}`, `{"hash":"AQ==","previous":{"ends":3}}`, `{"allowed_hosts":[],"allowed_methods":["GET",""]}`, `{"allowed_paths":["/"],"allowed_hosts":["a"]}`, `{"factors":[]}`, `{"factors":null}`, `{"factors":["totp"],"devices":1}`, `{"methods":["totp"],"proved":"2026-01-02T03:04:05Z"}`, `{"factored":7}`, `{"roles":["a""b"]}`, `{"roles":["a",1]}`, `{"roles":["a`, `{"time":7}`, `{"time":"now"}`, `{"created":"2026-01-01T24:00:00Z"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, kind := range []any{db.User{}, db.Token{}, db.Session{}, db.LastUsed{}, db.Event{}} {
			want, got := reflect.New(reflect.TypeOf(kind)).Interface(), reflect.New(reflect.TypeOf(kind)).Interface()
			failed, err := json.Unmarshal(value, want), db.Unmarshal(value, got)
			if (failed == nil) != (err == nil) || (err == nil && !reflect.DeepEqual(got, want)) {
				t.Errorf("%q: read %+v, %v; encoding/json reads %+v, %v", value, got, err, want, failed)
			}
			alone := reflect.New(reflect.TypeOf(kind)).Interface()
			if db.ReadsFast(value, alone) && (failed != nil || !reflect.DeepEqual(alone, want)) {
				t.Errorf("%q: read %+v; encoding/json reads %+v, %v", value, alone, want, failed)
			}
		}
	})
}
