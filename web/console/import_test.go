package console

import (
	"strings"
	"testing"

	"husk/web/api"
)

// A fault of a line is told in the language of who looks. Of an import that was cut
// short it is the API's own reason, which alone says that something was done.
func TestImportProblem(t *testing.T) {
	for _, c := range []struct{ name, code, reason, field, english, hanzi string }{
		{"a line", "email_taken", "line 7: another user has that email", "file", "Line 7: Another user has that email.", "第 7 行：该邮箱已被其他用户使用"},
		{"the domain", "domain_missing", "line 7: the name is no email", "domain", "Line 7: The name is no email.", "第 7 行：该名称不是邮箱"},
		{"another format", "other_format", "line 7: that is JSON", "format", "Line 7: That is JSON.", "第 7 行：这一行属于另一种文件"},
		{"too large", "body_too_large", "the import is over 64 MiB; split it", "file", "The import is over 64 MiB; split it.", "内容太大"},
		{"cut short", "disk_full", "the disk is full: 500 users were made", "file", "The disk is full: 500 users were made.", "The disk is full: 500 users were made."},
		{"cut short at a line", "unknown_role", "the import was cut short after 500 users were made: line 501: no", "file", "The import was cut short after 500 users", "The import was cut short after 500 users"},
	} {
		e := &api.Error{Status: 400, Detail: api.ErrorDetail{Code: c.code, Reason: c.reason}}
		if strings.HasPrefix(c.reason, "line 7: ") {
			e.Detail.Line = 7
		}
		problem := importProblem(e)
		if problem.field != c.field {
			t.Errorf("%s: stands at %s, not %s", c.name, problem.field, c.field)
		}
		for tag, want := range map[string]string{"en": c.english, "zh": c.hanzi} {
			if said, err := languageOf(tag).html(problem.Text); err != nil || !strings.Contains(string(said), want) {
				t.Errorf("%s: in %s it says %q (%v), not %q", c.name, tag, said, err, want)
			}
		}
	}
}
