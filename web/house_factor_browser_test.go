package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

// In a browser: an authenticator app is set up, the codes are kept, the next sign-in has
// two steps, one by a recovery code is told of, and what was told is dismissed. The pages
// that answer a form are looked at as all others are.
func TestBrowserSecondFactor(t *testing.T) {
	t.Parallel()
	dbtest.TakesVeryLong(t, "a second factor in a browser")
	for _, lang := range []string{"en", "zh"} {
		h := newTestHouse(t, nil)
		h.user("", testPassword, false)
		w := &factorWalk{p: chromiumtest.Start(t).Open(h.base), h: h, lang: lang}
		w.p.SetCookie("husk_look", lang+".")
		w.setUp()
		w.comeBack()
		w.must()
	}
}

type factorWalk struct {
	p     *chromiumtest.Tab
	h     *testHouse
	lang  string
	phone *phone
	codes []string
}

// look looks at the page that stands there, on all screens; on the narrow one by night.
func (w *factorWalk) look(name string) {
	w.h.Helper()
	for i, width := range []int{390, 820, 1280} {
		l := chromiumtest.Look{Width: width, Height: 844, Dark: i == 0}
		w.p.Look(l)
		wrong := problemsOf(w.p, w.lang)
		if w.lang == "en" && width != 820 { // which is slow, and looks at no words
			wrong = append(wrong, w.p.Axe()...)
		}
		for _, one := range wrong {
			w.h.Errorf("%s, %s, %d pixels: %s", name, w.lang, width, one)
		}
		w.p.Keep(fmt.Sprintf("factor-%s-%s-%d", name, w.lang, width))
	}
	w.p.Look(desk)
}

// show is the page as it stands, to read what it shows once.
func (w *factorWalk) show() answer {
	return answer{body: w.p.Eval("document.documentElement.outerHTML")}
}

// goOn leaves recovery codes behind.
func (w *factorWalk) goOn() {
	w.h.Helper()
	w.p.Eval(`document.querySelector("input[type=checkbox]").click()`)
	w.p.Click("form.acts button")
}

func (w *factorWalk) setUp() {
	w.h.Helper()
	w.p.Look(desk)
	w.p.Visit("/login")
	w.p.Fill("password", testPassword)
	w.p.Click("button")
	w.p.Visit("/me/second-factor")
	w.look("none")
	w.p.Click(`main a[href="/me/second-factor/totp"]`)
	w.look("ask")
	w.p.Click("main form button")
	w.phone = w.show().phone(w.h)
	w.p.Eval(`document.querySelector("main details").open = true`)
	w.look("qr")
	w.p.Fill("code", "000000")
	w.p.Click("main form button")
	w.look("qr-wrong")
	if again := w.show().phone(w.h); again.secret != w.phone.secret {
		w.h.Error("a wrong code costs the secret")
	}
	w.p.Fill("code", w.phone.code())
	w.p.Click("main form button")
	w.codes = w.show().codes(w.h.T)
	w.look("codes")
	w.printed()
	w.goOn()
	w.look("own")
}

// printed fails unless the print has the codes, the host, the account and the day alone.
func (w *factorWalk) printed() {
	w.h.Helper()
	w.p.Do("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
	lines := strings.Fields(w.p.Text())
	w.p.Keep("factor-print-" + w.lang)
	w.p.Do("Emulation.setEmulatedMedia", map[string]any{"media": ""}, nil)
	host := strings.TrimPrefix(w.h.base, "http://")
	if rest := len(lines) - len(w.codes); !slices.Contains(lines, host) || !slices.Contains(lines, db.SingleUser) || !slices.Contains(lines, w.codes[9]) || rest < 5 || rest > 9 {
		w.h.Errorf("the print has %q", lines)
	}
}

func (w *factorWalk) comeBack() {
	w.h.Helper()
	w.p.Do("Network.clearBrowserCookies", nil, nil)
	w.p.SetCookie("husk_look", w.lang+".")
	step := func() {
		w.p.Visit("/login")
		w.p.Fill("password", testPassword)
		w.p.Click("button")
	}
	step()
	w.look("step")
	w.p.Fill("code", "000000")
	w.p.Click("form button")
	w.look("step-wrong")
	w.phone.next()
	w.p.Fill("code", w.phone.code())
	w.p.Click("form button")
	w.look("banner-wrong")
	w.p.Do("Network.clearBrowserCookies", nil, nil)
	w.p.SetCookie("husk_look", w.lang+".")
	step()
	w.p.Eval(`document.querySelector("details.other").open = true`)
	w.look("step-recovery")
	w.p.Fill("recovery", w.codes[3])
	w.p.Click("details.other button")
	w.look("banner")
	w.p.Click(".notices button")
	if told := w.p.Eval(`document.querySelectorAll(".notices").length`); told != "0" || w.p.Eval("location.pathname") != "/" {
		w.h.Errorf("the banner stays, at %s:\n%s", w.p.Eval("location.pathname"), w.p.Text())
	}
	for name, path := range map[string]string{"sessions": "/me/sessions", "remove": "/me/second-factor/totp/remove", "new-codes": "/me/second-factor/codes", "all-sessions": "/console/sessions",
		"role-policy": "/console/roles/admin/edit", "role": "/console/roles/admin", "roles": "/console/roles", "users": "/console/users"} {
		w.p.Visit(path)
		w.look(name)
	}
}

// must is the way of somebody whose role requires a second factor.
func (w *factorWalk) must() {
	w.h.Helper()
	yes := true
	ann := w.h.user(annEmailHere, testPassword, false)
	w.p.Visit("/console/users/" + ann.ID)
	w.look("user-none")
	if err := w.h.Store.UpdateRole(w.h.Context(), localActor, db.RoleUser, db.RoleChange{RequireSecondFactor: &yes}); err != nil {
		w.h.Fatal(err)
	}
	admin := w.p.Cookies("husk_session")[0].Value
	w.p.Do("Network.clearBrowserCookies", nil, nil)
	w.p.SetCookie("husk_look", w.lang+".")
	w.p.Visit("/me/tokens")
	w.p.Fill("email", annEmailHere)
	w.p.Fill("password", testPassword)
	w.p.Click("button")
	w.look("must")
	w.p.Click(`form[action="/second-factor/totp"] button`)
	phone := w.show().phone(w.h)
	w.look("must-qr")
	w.p.Fill("code", phone.code())
	w.p.Click("form button")
	w.look("must-codes")
	w.goOn()
	if at := w.p.Eval("location.pathname"); at != "/me/tokens" {
		w.h.Errorf("it leads on to %s", at)
	}
	w.p.SetCookie("husk_session", admin)
	w.p.Visit("/console/users/" + ann.ID)
	w.look("user")
	w.p.Visit("/console/users/" + ann.ID + "/second-factor")
	w.look("reset")
}
