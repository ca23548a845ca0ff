package db_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// nameless are the actions whose target is its own name, and why.
var nameless = map[string]string{
	"access.refused":       "a permission or a path",
	"audit.export":         "a word",
	"audit.left_out":       "a day",
	"audit.prune":          "a number",
	"gate.enter":           "a host, or a domain",
	"key.rotate":           "a key has an id only",
	"role.create":          "a role's id is its name",
	"role.delete":          "a role's id is its name",
	"role.update":          "a role's id is its name",
	"store.create":         "nothing",
	"store.repair":         "numbers",
	"store.upgrade":        "numbers",
	"system.backup":        "a path",
	"system.backup_broken": "numbers",
}

// Whatever is done to a user, a token or a session, the entry has the name that
// it had at the time.
func TestEveryActionTellsTheName(t *testing.T) {
	f := newStore(t)
	f.everyAction()
	must(t, f.FlushLastUsed(f.ctx))
	told := map[string][]string{}
	for _, e := range f.events() {
		told[e.Action] = append(told[e.Action], e.TargetName)
	}
	want := map[string][]string{
		"passkey.copied":           {"fay@example.com"},
		"passkey.create":           {"fay@example.com"},
		"passkey.delete":           {"fay@example.com"},
		"passkey.update":           {"fay@example.com"},
		"recovery_code.create":     {"fay@example.com"},
		"recovery_code.use":        {"fay@example.com"},
		"totp.create":              {"fay@example.com"},
		"totp.delete":              {"fay@example.com"},
		"setup.initialize":         {"root@example.com"},
		"user.create":              {"ann@example.com", "imp@example.com", "fay@example.com"},
		"user.reset_second_factor": {"fay@example.com"},
		"user.update":              {"ann@example.com"}, // was renamed by it
		"user.disable":             {"annie@example.com"},
		"user.enable":              {"annie@example.com"},
		"user.password":            {"annie@example.com", "annie@example.com"},
		"user.unlock":              {"annie@example.com"},
		"user.delete":              {"annie@example.com"},
		"session.login":            {"root@example.com", "root@example.com", "annie@example.com"},
		"session.evict":            {"root@example.com"},
		"session.prove":            {"annie@example.com"},
		"session.renew":            {"annie@example.com"},
		"session.revoke":           {"root@example.com", "annie@example.com"},
		"session.logout":           {"root@example.com"},
		"token.create":             {"deploy", "soon"},
		"token.update":             {"deploy"}, // was renamed by it
		"token.rotate":             {"release"},
		"token.rotate_begin":       {"release"},
		"token.rotate_undo":        {"release"},
		"token.use":                {"release", "release"},
		"token.evict":              {"soon"},
		"token.delete":             {"release"},
	}
	for _, action := range db.Actions() {
		_, none := nameless[action]
		switch got := told[action]; {
		case none && slices.ContainsFunc(got, func(name string) bool { return name != "" }):
			t.Errorf("%s tells %q, and its target is its own name", action, got)
		case !none && !containsAll(got, want[action]) || !none && len(want[action]) == 0:
			t.Errorf("%s tells %q, want %q", action, got, want[action])
		}
	}
}

func containsAll(got, want []string) bool {
	for _, w := range want {
		i := slices.Index(got, w)
		if i < 0 {
			return false
		}
		got = slices.Delete(slices.Clone(got), i, i+1)
	}
	return true
}

// everyAction does all that has a name to tell.
func (f *fixture) everyAction() {
	f.t.Helper()
	root, err := f.Initialize(f.ctx, &db.Actor{}, db.Setup{Email: "root@example.com", Password: "hash of root@example.com"})
	must(f.t, err)
	actor := f.as(root)
	login := db.SignIn{User: root.ID, Verified: root.Password, TTL: time.Hour, MaxPerUser: 1}
	r, _, err := f.CreateSession(f.ctx, &db.Actor{}, login)
	must(f.t, err)
	actor.Session = r
	f.actionsOnTokens(actor)
	f.actionsOnUsers(actor)
	f.actionsOnFactors(actor)
	must(f.t, f.Logout(f.ctx, actor))
}

func (f *fixture) actionsOnTokens(actor *db.Actor) {
	f.t.Helper()
	plain := f.as(f.user("plain@example.com"))
	f.mint(plain, db.NewToken{Name: "soon", Expires: f.now().Unix() + 10})
	k := f.mint(actor, db.NewToken{Name: "deploy"})
	f.advance(time.Minute)
	f.mint(plain, db.NewToken{Name: "later", MaxPerUser: 1})
	must(f.t, f.UpdateToken(f.ctx, actor, k.ID, db.TokenChange{Name: "release"}))
	begun := bytes.Repeat([]byte{1}, 32)
	_, err := f.BeginRotation(f.ctx, actor, k.ID, db.Rotation{Hash: begun})
	must(f.t, err)
	must(f.t, f.SettleRotation(f.ctx, actor, k.ID, db.Settlement{Hash: begun, Undo: true}))
	k, err = f.RotateToken(f.ctx, actor, k.ID, db.Rotation{Hash: make([]byte, 32)})
	must(f.t, err)
	f.NoteTokenUse(k.ID, "192.0.2.7", false)
	f.NoteRefusal(&db.Actor{ID: actor.ID, Name: actor.Name}, "token.use", k.Target())
	must(f.t, f.FlushLastUsed(f.ctx))
	must(f.t, f.DeleteToken(f.ctx, actor, k.ID))
}

func (f *fixture) actionsOnUsers(actor *db.Actor) {
	f.t.Helper()
	u := f.user("ann@example.com")
	_, err := f.ImportUsers(f.ctx, actor, []db.ImportUser{{NewUser: db.NewUser{Email: "imp@example.com"}, Line: 1}}, false, false)
	must(f.t, err)
	change := func(c db.UserChange) {
		f.t.Helper()
		u, err = f.UpdateUser(f.ctx, actor, u.ID, c)
		must(f.t, err)
	}
	change(db.UserChange{Email: ptr("annie@example.com")})
	change(db.UserChange{Disabled: ptr(true)})
	change(db.UserChange{Disabled: ptr(false)})
	change(db.UserChange{Password: ptr("another hash")})
	must(f.t, f.UnlockUser(f.ctx, actor, u.ID))
	u, err = f.User(f.ctx, u.ID)
	must(f.t, err)
	annie := f.as(u)
	f.NoteRefusal(annie, "session.prove", u.Target())
	_, _, err = f.ChangePassword(f.ctx, annie, db.PasswordChange{Verified: u.Password, Password: "a third hash", Renew: true})
	must(f.t, err)
	_, _, err = f.EndUserSessions(f.ctx, actor, u.ID)
	must(f.t, err)
	_, _, err = f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: actor.ID, Verified: actor.User.Password, TTL: time.Hour})
	must(f.t, err)
	_, err = f.EndOtherSessions(f.ctx, actor)
	must(f.t, err)
	_, err = f.DeleteUser(f.ctx, actor, u.ID)
	must(f.t, err)
}

func (f *fixture) actionsOnFactors(actor *db.Actor) {
	f.t.Helper()
	fay := f.withSession("fay@example.com")
	f.withTOTP(fay)
	p := f.withPasskey(fay, "fay's", 1)
	must(f.t, f.RenamePasskey(f.ctx, fay, p.ID, "blue"))
	must(f.t, f.NotePasskeyCopy(f.ctx, &db.Actor{}, fay.ID, []byte("fay's")))
	must(f.t, f.NewRecoveryCodes(f.ctx, fay, hashesOf("second")))
	must(f.t, second1(f.enter(fay.User, recoveryUse(0, "second"))))
	must(f.t, f.RemovePasskey(f.ctx, fay, p.ID))
	must(f.t, f.RemoveTOTP(f.ctx, fay))
	f.withTOTP(fay)
	must(f.t, second1(f.ResetFactors(f.ctx, actor, fay.ID)))
}

// A name is written where it tells more than the id, and bounded as names are.
func TestTargetName(t *testing.T) {
	f := newStore(t)
	single, err := f.User(f.ctx, db.SingleUser)
	must(f.t, err)
	_, err = f.UpdateUser(f.ctx, local, single.ID, db.UserChange{Password: ptr("hash")})
	must(f.t, err)
	f.NoteRefusal(&db.Actor{Address: "192.0.2.1"}, "session.login", (*db.User)(nil).Target())
	f.NoteRefusal(&db.Actor{Address: "192.0.2.2"}, "session.login", db.Target{Name: "what was typed"})
	must(t, f.FlushLastUsed(f.ctx))
	for _, e := range f.events() {
		if e.TargetName != "" {
			t.Errorf("%s tells %q", e.Action, e.TargetName)
		}
	}
	k := f.mint(local, db.NewToken{Name: strings.Repeat("\U0001F512", db.MaxName)})
	e := f.events()[len(f.events())-1]
	if e.TargetName != k.Name || len(e.TargetName) > 800 {
		t.Errorf("%d bytes of a name", len(e.TargetName))
	}
}

// What is folded because it is of too many targets has the name of none.
func TestFoldedTargetsHaveNoName(t *testing.T) {
	f := newStore(t)
	ann := &db.Actor{ID: "ann", Name: "ann@example.com", Address: "192.0.2.1"}
	for i := range 25 {
		f.NoteRefusal(ann, "token.use", db.Target{ID: fmt.Sprint("id-", i), Name: fmt.Sprint("name ", i)})
		f.NoteRefusal(ann, "token.use", db.Target{ID: fmt.Sprint("id-", i), Name: "another"})
	}
	must(t, f.FlushLastUsed(f.ctx))
	folded := 0
	for _, e := range f.events()[1:] {
		if want := strings.Replace(e.Target, "id-", "name ", 1); e.TargetName != want {
			t.Errorf("%q is told as %q", e.Target, e.TargetName)
		}
		if e.Target == "" {
			folded += e.Count
		}
	}
	if folded != 10 {
		t.Errorf("%d were folded, want 10", folded)
	}
}

// notActions are words of the same form that are no actions: buckets and files.
var notActions = regexp.MustCompile(`^(audit\.(checkpoint|gaps|index|pruned|strangers|stub)|(factor|key|role|session|token|user)\.index|session\.use|user\.other)$`)

// The list of actions is the list: what the source writes is in it, and nothing
// else is.
func TestActionsAreThoseOfTheSource(t *testing.T) {
	of := []string{"access", "audit", "gate", "passkey", "recovery_code", "setup", "store", "system", "totp"}
	nouns, err := newStore(t).Counts(t.Context())
	must(t, err)
	for plural := range nouns {
		of = append(of, strings.TrimSuffix(plural, "s"))
	}
	form := regexp.MustCompile(`^(` + strings.Join(of, "|") + `)\.[a-z_]+$`)
	found := map[string]bool{}
	for _, dir := range []string{".", "*", "../web", "../web/*"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		must(t, err)
		for _, file := range files {
			// What pages say has keys of the same form; they write nothing.
			if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "audit_actions.go" || filepath.Base(filepath.Dir(file)) == "console" {
				continue
			}
			for _, text := range literals(t, file) {
				if form.MatchString(text) && !notActions.MatchString(text) {
					found[text] = true
				}
			}
		}
	}
	var sorted []string
	for action := range found {
		sorted = append(sorted, action)
	}
	slices.Sort(sorted)
	if got := db.Actions(); !slices.Equal(got, sorted) {
		t.Errorf("the list is %q, the source has %q", got, sorted)
	}
}

func literals(t *testing.T, file string) (texts []string) {
	t.Helper()
	source, err := os.ReadFile(file)
	must(t, err)
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
	must(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			must(t, err)
			texts = append(texts, text)
		}
		return true
	})
	return texts
}
