package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"husk/db"
)

// writes is a step that puts one value.
func writes(key, value string) db.Step {
	return func(put func(bucket, key, value string) error, _ func(bucket, key string) (string, error)) error {
		return put("migrated", key, value)
	}
}

// kept counts the copies that Open asks for.
type kept struct {
	of  []int // schemas
	err error
}

func (k *kept) keep(_ context.Context, schema db.Schema) error {
	k.of = append(k.of, schema.Version)
	return k.err
}

// upgrade opens the store of f anew, which is of that schema: a copy of it is kept
// first.
func (f *fixture) upgrade(from int) {
	f.t.Helper()
	var copies kept
	s, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now, Keep: copies.keep})
	if err != nil {
		f.t.Fatalf("the store can't be upgraded: %v", err)
	}
	f.Store = s // which the end of the test checks
	if !slices.Equal(copies.of, []int{from}) {
		f.t.Errorf("copies were kept of %v", copies.of)
	}
}

func migrated(f *fixture, key string) (value string) {
	f.raw(func(tx db.Tx) error {
		sealed, err := tx.Get("migrated", []byte(key))
		if err == nil && sealed != nil {
			var b []byte
			b, err = db.Unseal("migrated", []byte(key), sealed)
			value = string(b)
		}
		return err
	})
	return value
}

func TestSchemaVersionIsThatOfTheSteps(t *testing.T) {
	if db.NewestSchema() != db.SchemaVersion {
		t.Errorf("the steps lead to schema %d, SchemaVersion is %d", db.NewestSchema(), db.SchemaVersion)
	}
}

// An older store is upgraded by every step that is due, in one transaction,
// after a copy was kept; what is in it stays.
func TestUpgrade(t *testing.T) {
	f, u, k, actor := filled(t)
	// The step reads what the one before it wrote.
	second := func(put func(bucket, key, value string) error, get func(bucket, key string) (string, error)) error {
		before, err := get("migrated", "first")
		return errors.Join(err, put("migrated", "second", before+" and 2"))
	}
	defer db.AddMigrations(writes("first", "1"), second)()
	var copies kept
	s, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now, Keep: copies.keep})
	must(t, err)
	if !slices.Equal(copies.of, []int{db.SchemaVersion}) {
		t.Errorf("copies were kept of %v, want one of schema %d", copies.of, db.SchemaVersion)
	}
	if first, second := migrated(f, "first"), migrated(f, "second"); first != "1" || second != "1 and 2" {
		t.Errorf("the steps wrote %q and %q", first, second)
	}
	schema, err := s.Schema(f.ctx)
	if err != nil || schema.Version != db.SchemaVersion+2 || schema.Needs != "0.3.0" || schema.Created.IsZero() {
		t.Errorf("%+v, %v", schema, err)
	}
	for what, err := range map[string]error{
		"user":    second1(s.User(f.ctx, u.ID)),
		"token":   second1(s.Token(f.ctx, k.ID)),
		"session": second1(s.Session(f.ctx, actor.Session.ID)),
	} {
		if err != nil {
			t.Errorf("%s after the upgrade: %v", what, err)
		}
	}
	page, err := s.Audit(f.ctx, db.AuditQuery{Size: 1})
	if err != nil || len(page.Items) != 1 || page.Items[0].Action != "store.upgrade" || page.Items[0].Target != fmt.Sprintf("schema %d to %d", db.SchemaVersion, db.SchemaVersion+2) || page.Items[0].Actor != db.LocalActor {
		t.Errorf("the newest audit entry is %+v, %v", page.Items, err)
	}
	// It is upgraded once.
	_, err = db.Open(f.ctx, f.engine, db.Options{Keep: copies.keep})
	must(t, err)
	if len(copies.of) != 1 {
		t.Errorf("a store of the newest schema was kept again: %v", copies.of)
	}
	must(t, f.Store.DeleteToken(f.ctx, local, k.ID))
}

func second1[T any](_ T, err error) error { return err }

// A step that fails, and a copy that can't be kept, leave the store as it was.
func TestFailedUpgradeChangesNothing(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		steps  []db.Step
		copies kept
		kept   int
	}{
		"no copy": {[]db.Step{writes("first", "1")}, kept{err: db.ErrFull}, 1},
		"a step": {[]db.Step{writes("first", "1"), func(func(bucket, key, value string) error, func(bucket, key string) (string, error)) error {
			return broken
		}}, kept{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, _, _ := filled(t)
			restore := db.AddMigrations(c.steps...)
			defer restore()
			_, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now, Keep: c.copies.keep})
			if want := errors.Join(c.copies.err, broken); !errors.Is(err, broken) && !errors.Is(err, db.ErrFull) {
				t.Errorf("Open = %v, want %v", err, want)
			}
			if len(c.copies.of) != c.kept {
				t.Errorf("copies were kept of %v", c.copies.of)
			}
			if value := migrated(f, "first"); value != "" {
				t.Errorf("a failed upgrade left %q", value)
			}
			restore()
			s := f.reopened()
			if schema, err := s.Schema(f.ctx); err != nil || schema.Version != db.SchemaVersion {
				t.Errorf("%+v, %v", schema, err)
			}
		})
	}
}

// Without a way to keep a copy an older store is looked at and not changed.
func TestOlderIsOnlyLookedAt(t *testing.T) {
	f, u, _, _ := filled(t)
	defer db.AddMigrations(writes("first", "1"))()
	s, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now})
	must(t, err)
	if schema, err := s.Schema(f.ctx); err != nil || schema.Version != db.SchemaVersion {
		t.Errorf("%+v, %v", schema, err)
	}
	if counts, err := s.Counts(f.ctx); err != nil || counts["tokens"] != 1 {
		t.Errorf("%v, %v", counts, err)
	}
	wantErr(t, second1(s.DeleteUser(f.ctx, local, u.ID)), db.ErrInvalid, "store_older")
	if value := migrated(f, "first"); value != "" {
		t.Errorf("it was upgraded: %q", value)
	}
	// What stands beside its records may have another form; what is damaged is.
	f.broken = true
	f.raw(func(tx db.Tx) error {
		return errors.Join(tx.Delete("user.index", []byte("=ann@example.com")), tx.Put("audit.index", []byte("x"), []byte("damaged, and long enough")))
	})
	var faults []string
	if _, err := s.Check(f.ctx, func(err error) { faults = append(faults, err.Error()) }); err != nil || len(faults) != 1 || !strings.Contains(faults[0], `"x" in bucket "audit.index"`) {
		t.Errorf("check of an older store: %v, %v", faults, err)
	}
}

// A newer file tells which husk is needed, where it knows.
func TestNewerTellsWhatIsNeeded(t *testing.T) {
	f, _, _, _ := filled(t)
	restore := db.AddMigrations(writes("first", "1"), writes("second", "2"))
	_, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now, Keep: new(kept).keep})
	must(t, err)
	restore()
	copies := new(kept)
	_, err = db.Open(f.ctx, f.engine, db.Options{Keep: copies.keep})
	if !errors.Is(err, db.ErrNewer) || !strings.Contains(err.Error(), fmt.Sprintf("husk 0.3.0 or a later one is needed: its schema is %d, this husk knows %d", db.SchemaVersion+2, db.SchemaVersion)) {
		t.Errorf("Open = %v", err)
	}
	if len(copies.of) > 0 {
		t.Error("a newer store was copied to be upgraded")
	}
	must(t, f.PutRaw(f.ctx, "meta", []byte("schema"), []byte(`{"schema":9}`)))
	if _, err = db.Open(f.ctx, f.engine, db.Options{}); !errors.Is(err, db.ErrNewer) || !strings.Contains(err.Error(), "the husk that wrote it or a later one") {
		t.Errorf("Open = %v", err)
	}
}
