package web

import (
	"net/http"
	"testing"
	"time"
)

// Who is disabled has no token that is good: lists and pages say why not. One that has
// ended says that.
func TestTokensOfTheDisabledInTheConsole(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	admin := h.signedIn("")
	id, _ := v.makeToken("nightly")
	pages := []string{"/console/tokens", "/console/tokens?filter=never", "/console/tokens/" + id}
	for _, path := range pages {
		admin.get(path).isPage(t, http.StatusOK, "nightly", `<span class="state good">good<`)
	}
	admin.post("/console/users/" + h.allTokens()[0].Owner + "/disable")
	for _, path := range pages {
		page := admin.get(path)
		page.isPage(t, http.StatusOK, "nightly", `<span class="state bad">owner disabled<`)
		page.lacks(t, ">good<")
		admin.get(path, "Accept-Language", "zh-CN").isPage(t, http.StatusOK, ">所有者已停用<")
	}
	h.wait(91 * 24 * time.Hour)
	h.signedIn("").get("/console/tokens/"+id).isPage(t, http.StatusOK, `<span class="state bad">ended<`)
}
