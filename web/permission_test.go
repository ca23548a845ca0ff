package web_test

import (
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
)

// contract is what CONTRACT.md says that each route needs. A route that is not
// here fails the test; one that is here and not yet in the router does not.
var contract = map[string]string{
	"GET /health": "public", "GET /livez": "public", "GET /readyz": "public", "GET /openapi.json": "public", "GET /docs": "public", "GET /docs/:name": "public",
	"POST /account/login": "public", "GET /account/logout": "public", "POST /account/logout": "public",
	"GET /account/profile": "signed-in", "PUT /account/password": "session",
	"POST /account/proof": "session", "GET /account/applications": "signed-in",
	"GET /account/second_factor": "session", "POST /account/second_factor/_seen": "session", "POST /account/recovery_codes": "session",
	"POST /account/totp": "session", "PUT /account/totp": "session", "DELETE /account/totp": "session",
	"DELETE /security/user/:id/second_factor": "generic#security:user/update",
	"GET /account/passkeys":                   "session", "GET /account/passkeys/:id": "session", "PUT /account/passkeys/:id": "session", "DELETE /account/passkeys/:id": "session",
	"POST /account/passkeys/_begin": "session", "POST /account/passkeys/_finish": "session",
	"POST /account/login/passkey/_begin": "public", "POST /account/login/passkey/_finish": "public",
	"POST /account/proof/passkey/_begin": "session", "POST /account/proof/passkey/_finish": "session",

	"GET /account/sessions": "session", "DELETE /account/sessions/:id": "session", "DELETE /account/sessions": "session",

	"POST /auth/access_token":             "generic#security:auth:api-token/create",
	"GET /auth/access_token/_search":      "generic#security:auth:api-token/search",
	"GET /auth/access_token/_ended":       "generic#security:auth:api-token/search",
	"GET /auth/access_token/:id":          "generic#security:auth:api-token/search",
	"GET /auth/access_token/:id/_usage":   "generic#security:auth:api-token/search",
	"PUT /auth/access_token/:id":          "generic#security:auth:api-token/update",
	"POST /auth/access_token/:id/_rotate": "generic#security:auth:api-token/update",
	"DELETE /auth/access_token/:id":       "generic#security:auth:api-token/delete",

	"GET /security/user/_search":  "generic#security:user/search",
	"POST /security/user":         "generic#security:user/create",
	"POST /security/user/_import": "generic#security:user/create",
	"GET /security/user/:id":      "generic#security:user/read",
	"PUT /security/user/:id":      "generic#security:user/update",
	"DELETE /security/user/:id":   "generic#security:user/delete",

	"GET /security/role/_search":      "generic#security:role/search",
	"POST /security/role":             "generic#security:role/create",
	"GET /security/role/:id":          "generic#security:role/read",
	"PUT /security/role/:id":          "generic#security:role/update",
	"DELETE /security/role/:id":       "generic#security:role/delete",
	"GET /security/permission":        "generic#security:permission/read",
	"GET /security/rule":              "coco#system/read",
	"POST /security/rule/_test":       "coco#system/read",
	"GET /security/principal/_search": "generic#security:principal/search",
	"GET /security/session/_search":   "generic#security:session/search",
	"DELETE /security/session/:id":    "generic#security:session/delete",
	"GET /security/audit/_search":     "generic#security:audit/search",
	"GET /security/audit/_export":     "generic#security:audit/search",
	"GET /security/audit/_verify":     "generic#security:audit/search",
	"GET /security/audit/_head":       "generic#security:audit/search",
	"GET /security/key/_search":       "generic#system/keys",
	"POST /security/key/_rotate":      "generic#system/keys",
	"GET /system/backup":              "generic#system/backup",
	"GET /system/check":               "generic#system/backup",
	"GET /system/health":              "coco#system/read",
	"GET /system/settings":            "coco#system/read",
	"POST /system/backup":             "generic#system/backup",
	"GET /system/backup/_list":        "generic#system/backup",
	"GET /system/backup/_file/:id":    "generic#system/backup",
	"GET /system/statistics":          "coco#system/read",

	"GET /setting/application": "public", "GET /provider/_info": "public", "POST /setup/_initialize": "public",
	"GET /_info": "signed-in", "GET /settings": "coco#system/read", "GET /_license/info": "public",
	"POST /query/_search": "signed-in", "POST /datasource/_search": "signed-in", "POST /mcp_server/_search": "signed-in", "POST /assistant/_search": "signed-in",
	"GET /connector/_search": "signed-in",

	"POST /oauth/introspect": "generic#security:token/introspect", "POST /oauth/revoke": "signed-in", "GET /.well-known/oauth-authorization-server": "public",

	// Beside the contract: what older clients call, and what the command line and browsers need.
	"POST /auth/request_access_token":     "generic#security:auth:api-token/create",
	"GET /auth/access_token/_cat":         "generic#security:auth:api-token/search",
	"POST /auth/access_token/:id/_rename": "generic#security:auth:api-token/update",
	"POST /auth/access_token/:id/_settle": "generic#security:auth:api-token/update",
	"POST /security/user/:id/_unlock":     "generic#security:user/update",
	"POST /auth/access_token/_check":      "generic#security:auth:api-token/search",
	"GET /security/session/:id":           "generic#security:session/search",
	"DELETE /security/session":            "generic#security:session/delete",
	"GET /":                               "session",
	"GET /setup":                          "public",
	"GET /login":                          "public",
	"GET /password":                       "session",
	"POST /password":                      "session",
	"GET /second-factor":                  "session",
	"POST /second-factor":                 "session",
	"POST /second-factor/totp":            "session",
	"POST /second-factor/totp/confirm":    "session",
	"POST /second-factor/codes/file":      "session",
	"POST /login/passkey":                 "public",
	"POST /second-factor/passkey":         "session",
	"POST /second-factor/passkey/add":     "session",
	"POST /second-factor/passkey/prove":   "session",
	"GET /connect":                        "generic#security:auth:api-token/create",
	"POST /connect":                       "generic#security:auth:api-token/create",
	"GET /continue":                       "session",
	"GET /assets/:name":                   "public",
	"GET /favicon.ico":                    "public",
}

func TestRoutesNeedWhatTheContractSays(t *testing.T) {
	s := newServer(t)
	for _, r := range s.Table() {
		name := r.Method + " " + r.Path
		if console.InHouse(r.Path) { // a page asks the API, which asks for the permission
			contract[name] = "session"
		}
		if want, known := contract[name]; !known || r.Need != want {
			t.Errorf("%s needs %q, the contract says %q", name, r.Need, want)
		}
		if early := name == "GET /account/profile" || name == "PUT /account/password" || strings.HasSuffix(name, " /password"); r.Early != early && r.Need != "public" {
			t.Errorf("%s answers before a generated password is changed: %t", name, r.Early)
		}
	}
}

// caller is one column of the matrix.
type caller struct {
	name        string
	with        edit
	signedIn    bool
	session     bool
	permissions db.Permissions
}

// Every route against everybody: who may not is told so before anything else
// is looked at, who may is never refused for it.
func TestMatrix(t *testing.T) {
	s := newServer(t)
	admin, ann := s.single(), s.newUser(annEmail)
	userRights := []string{db.PermTokenSearch, db.PermTokenCreate, db.PermTokenUpdate, db.PermTokenDelete, db.PermPermissionRead}
	callers := []caller{
		{name: "nobody", with: nobody},
		{"user session", ann.session(), true, true, db.NewPermissions(userRights)},
		{"user cookie", cookie(ann.jwt), true, true, db.NewPermissions(userRights)},
		{"user token", apiToken(s.mint(ann.session(), api.NewToken{}).AccessToken), true, false, db.NewPermissions(userRights)},
		{"narrow user token", apiToken(s.mint(ann.session(), api.NewToken{Permissions: userRights[:1]}).AccessToken), true, false, db.NewPermissions(userRights[:1])},
		{"administrator session", admin.session(), true, true, db.AllPermissions},
		{"administrator token", apiToken(s.mint(admin.session(), api.NewToken{}).AccessToken), true, false, db.AllPermissions},
		{"narrow administrator token", apiToken(s.mint(admin.session(), api.NewToken{Permissions: []string{db.PermUserRead, db.PermBackup}}).AccessToken), true, false, db.NewPermissions([]string{db.PermUserRead, db.PermBackup})},
		{"local", local, true, false, db.AllPermissions},
	}
	// One column for each permission alone, so that no two are taken for one another.
	for _, key := range knownPermissions() {
		callers = append(callers, caller{"only " + key, apiToken(s.mint(admin.session(), api.NewToken{Permissions: []string{key}}).AccessToken), true, false, db.NewPermissions([]string{key})})
	}
	for _, r := range s.Table() {
		if r.Page && r.Need != "public" {
			continue // a browser is led to the sign-in instead; see pages_test.go
		}
		// Bodies that are refused, and ids that are not there, so that nothing changes.
		path, body := strings.ReplaceAll(r.Path, ":id", absentID), ""
		if r.Method == "POST" || r.Method == "PUT" {
			body = `[]`
		}
		if strings.Contains(r.Path, "logout") || r.Method == "DELETE" && !strings.Contains(r.Path, ":id") || strings.HasSuffix(r.Path, "_rotate") && !strings.Contains(r.Path, ":id") {
			continue // these end what the others need, whatever their body is
		}
		for _, c := range callers {
			a := s.do(r.Method, path, body, c.with)
			want, code := 0, ""
			switch {
			case r.Need == "public":
			case !c.signedIn:
				want, code = 401, "not_signed_in"
			case r.Need == "session" && !c.session:
				want, code = 403, "session_required"
			case strings.Contains(r.Need, "/") && !c.permissions.Has(r.Need):
				want, code = 403, "not_permitted"
			}
			switch {
			case want != 0:
				a.want(want, code)
				if want == 401 {
					a.challenge(challengeNone)
				}
				if code == "not_permitted" {
					a.challenge(challengeScope)
					if !strings.Contains(a.body, r.Need) {
						t.Errorf("%s by %s: the reason does not name %s: %s", a.what, c.name, r.Need, a.body)
					}
				}
			case a.status == 401 || a.status >= 500 || (a.status == 403 && !strings.Contains(r.Path, "/setup/")):
				t.Errorf("%s by %s = %d %s", a.what, c.name, a.status, a.body)
			}
		}
	}
}

// Husk's own permissions are those of the contract, and the roles have theirs.
func TestBuiltinRights(t *testing.T) {
	s := newServer(t)
	p, err := s.local.Profile(t.Context())
	must(t, err)
	if want := knownPermissions(); !slices.Equal(p.Permissions, want) {
		t.Errorf("the permissions are %v, want %v", p.Permissions, want)
	}
	ann := s.newUser(annEmail)
	p, err = s.client(ann.session()).Profile(t.Context())
	must(t, err)
	want := db.NewPermissions([]string{db.PermTokenSearch, db.PermTokenCreate, db.PermTokenUpdate, db.PermTokenDelete, db.PermPermissionRead}).Keys()
	if !slices.Equal(p.Permissions, want) {
		t.Errorf("the role user has %v, want %v", p.Permissions, want)
	}
}

// What a role grants counts at the next request, whatever was remembered of a
// credential.
func TestChangedRoleCountsAtOnce(t *testing.T) {
	s := newServer(t)
	s.do("POST", "/security/role", `{"name":"clerk","grants":{"permissions":["`+db.PermTokenSearch+`","`+db.PermTokenCreate+`"]}}`, local).want(200)
	ann := s.newUser(annEmail, "clerk")
	made := s.mint(ann.session(), api.NewToken{})
	for _, c := range []struct {
		granted string
		want    int
	}{{db.PermUserSearch, 200}, {db.PermTokenSearch, 403}, {db.PermUserSearch, 200}} {
		s.do("PUT", "/security/role/clerk", `{"grants":{"permissions":["`+c.granted+`"]}}`, local).want(200)
		for _, with := range []edit{ann.session(), apiToken(made.AccessToken)} {
			for range 2 {
				s.do("GET", "/security/user/_search", "", with).want(c.want)
			}
		}
	}
}
