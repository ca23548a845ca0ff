package db_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"husk/db"
	"husk/db/bolt"
)

// newForSetup opens a new store. When the test ends its invariants must hold.
func newForSetup(t *testing.T) *db.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := bolt.Create(path, db.Init); err != nil {
		t.Fatal(err)
	}
	e, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.Open(t.Context(), e, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.Check(context.Background(), func(err error) { t.Error("check:", err) }); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s
}

var stranger = &db.Actor{Transport: db.TransportHTTP, Address: "192.0.2.1", RequestID: "r-1"}

// lastAudit is the newest entry of the audit log as it is stored.
func lastAudit(t *testing.T, s *db.Store) (entry string) {
	t.Helper()
	err := s.Engine().View(t.Context(), func(tx db.Tx) error {
		return tx.Scan("audit", nil, nil, true, func(_, value []byte) bool { entry = string(value); return false })
	})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func codeOf(err error) string {
	var e *db.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestInitializeSingleUser(t *testing.T) {
	s := newForSetup(t)
	u, err := s.Initialize(t.Context(), stranger, db.Setup{Name: "  Ann ", Email: " ", Password: "phc"})
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != db.SingleUser || u.Password != "phc" || u.Name != "Ann" || u.Email != "" {
		t.Errorf("user %+v", u)
	}
	kept, err := s.User(t.Context(), db.SingleUser)
	if err != nil || kept.Password != "phc" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	if required, err := s.SetupRequired(t.Context()); required || err != nil {
		t.Errorf("set-up required: %v, %v", required, err)
	}
	if _, err := s.Initialize(t.Context(), stranger, db.Setup{Password: "other"}); !errors.Is(err, db.ErrConflict) || codeOf(err) != "setup_done" {
		t.Errorf("a second time: %v", err)
	}
}

func TestInitializeKeepsTheName(t *testing.T) {
	s := newForSetup(t)
	u, err := s.Initialize(t.Context(), stranger, db.Setup{Password: "phc"})
	if err != nil || u.Name != db.SingleUser {
		t.Errorf("user %+v, %v", u, err)
	}
}

func TestInitializeWithEmail(t *testing.T) {
	s := newForSetup(t)
	u, err := s.Initialize(t.Context(), stranger, db.Setup{Name: "Ann", Email: "ann@example.com", Password: "phc"})
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Roles) != 1 || u.Roles[0] != db.RoleAdmin || u.Email != "ann@example.com" || u.Password != "phc" {
		t.Errorf("user %+v", u)
	}
	audit := lastAudit(t, s)
	for _, want := range []string{`"action":"setup.initialize"`, `"actor":"` + u.ID, `"target":"` + u.ID, `"address":"192.0.2.1"`, `"request_id":"r-1"`} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit entry %s has no %s", audit, want)
		}
	}
	single, err := s.User(t.Context(), db.SingleUser)
	if err != nil || single.Password != "" {
		t.Errorf("the single user got a password: %+v, %v", single, err)
	}
}

func TestInitializeRefuses(t *testing.T) {
	local := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	closed := true
	for name, test := range map[string]struct {
		prepare func(*db.Store) error
		in      db.Setup
		code    string
	}{
		"bad email":     {nil, db.Setup{Email: "ann", Password: "phc"}, "bad_email"},
		"bad name":      {nil, db.Setup{Email: "ann@example.com", Name: "a\x1b[2J", Password: "phc"}, "text_not_plain"},
		"single's name": {nil, db.Setup{Name: "a\nb", Password: "phc"}, "text_not_plain"},
		"taken email": {func(s *db.Store) error {
			_, err := s.CreateUser(t.Context(), local, db.NewUser{Email: "ann@example.com", Password: "phc"})
			return err
		}, db.Setup{Email: "ANN@example.com", Password: "phc"}, "email_taken"},
		"no password": {nil, db.Setup{Email: "ann@example.com"}, "password_missing"},
		"single user closed": {func(s *db.Store) error {
			_, err := s.CreateUser(t.Context(), local, db.NewUser{Email: "robot@example.com", Roles: []string{db.RoleAdmin}})
			if err == nil {
				_, err = s.UpdateUser(t.Context(), local, db.SingleUser, db.UserChange{Disabled: &closed})
			}
			return err
		}, db.Setup{Password: "phc"}, "email_required"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newForSetup(t)
			if test.prepare != nil {
				if err := test.prepare(s); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Initialize(t.Context(), stranger, test.in); codeOf(err) != test.code {
				t.Errorf("error %v, want %s", err, test.code)
			}
			if required, err := s.SetupRequired(t.Context()); !required || err != nil {
				t.Errorf("a refused set-up changed something: %v", err)
			}
		})
	}
}

// An ordinary user with a password is no reason not to set up.
func TestInitializeBesideUsers(t *testing.T) {
	s := newForSetup(t)
	local := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	if _, err := s.CreateUser(t.Context(), local, db.NewUser{Email: "bob@example.com", Password: "phc"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Initialize(t.Context(), stranger, db.Setup{Email: "ann@example.com", Password: "phc"}); err != nil {
		t.Error(err)
	}
}

func TestInitializeOnce(t *testing.T) {
	s := newForSetup(t)
	emails := []string{"", "a@example.com", "b@example.com", "c@example.com", "", "d@example.com"}
	errs := make([]error, len(emails))
	var all sync.WaitGroup
	for i, email := range emails {
		all.Go(func() {
			_, errs[i] = s.Initialize(context.Background(), stranger, db.Setup{Email: email, Password: "phc"})
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case codeOf(err) != "setup_done":
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d set up", won, len(emails))
	}
	administrators := 0
	page, err := s.Users(t.Context(), db.ListQuery{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range page.Items {
		if u.Password != "" {
			administrators++
		}
	}
	if administrators != 1 {
		t.Errorf("%d administrators", administrators)
	}
}
