package web

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"husk/db"
	"husk/web/password"
)

// A flood of refused sign-ins writes nothing while it lasts: what it leaves is
// folded, and written in one batch with what else waits.
func TestAFloodIsWrittenInBatches(t *testing.T) {
	w := newWatched(t, func(c *Config) { c.LoginLimits = LoginLimits{Now: func() time.Time { return time.Unix(0, 0) }} })
	hash, err := w.Passwords.Hash(t.Context(), password.Caller{}, "seven crates of apricots")
	if err != nil {
		t.Fatal(err)
	}
	owner := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	if _, err := w.Store.UpdateUser(t.Context(), owner, db.SingleUser, db.UserChange{Password: &hash}); err != nil {
		t.Fatal(err)
	}
	before := w.engine.Updates.Load()
	const flood = 10_000
	refused := map[int]int{}
	for i := range flood {
		a := ask(w, "POST", "/account/login", fmt.Sprintf(`{"email":"user%d@example.com","password":"wrong and long"}`, i%50))
		refused[a.Code]++
	}
	if refused[http.StatusForbidden] == 0 || refused[http.StatusForbidden]+refused[http.StatusTooManyRequests] != flood {
		t.Fatalf("the answers were %v", refused)
	}
	if n := w.engine.Updates.Load() - before; n != 0 {
		t.Errorf("the flood wrote %d times", n)
	}
	w.flush()
	if n := w.engine.Updates.Load() - before; n != 1 {
		t.Errorf("what the flood left was written in %d batches", n)
	}
	page, err := w.Store.Audit(t.Context(), db.AuditQuery{Action: "session.login", Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, e := range page.Items {
		counted += e.Count
	}
	if counted != flood || len(page.Items) > 3 {
		t.Errorf("%d of %d refusals in %d entries", counted, flood, len(page.Items))
	}
}
