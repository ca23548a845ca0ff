package console

import (
	"strconv"
	"strings"

	"husk/web/api"
)

// Verify tells whether the audit log is whole.
type Verify struct {
	inAudit
	Problem Text
	Known   Field  // the hash that was kept
	Keep    string // what to keep now: NUMBER:HASH
	Verdict *Verdict
}

// Verdict is what was found.
type Verdict struct {
	api.AuditVerdict
	Kept     Text // what became of the entry whose hash was given; may say nothing
	Problems []Text
	Gaps     []Text
}

func (Verify) view() (file string, title Text) { return "audit_verify.html", say("verify.title") }

// verifyPage checks where it was asked to. That changes nothing, and a hash is no
// secret: so it is no form that is sent, and the answer may be asked for again.
func verifyPage(v *Visit) error {
	f := v.asked()
	if v.query("check") == "" {
		head, err := v.API.AuditHead(v.r.Context())
		if err != nil {
			return err
		}
		return v.show(verifyForm(f, headText(head.Seq, head.Hash)))
	}
	found, err := v.API.VerifyAudit(v.r.Context(), strings.TrimSpace(v.query("head")))
	refused, err := f.narrowed(err, fieldOfCode)
	if err != nil {
		return err
	}
	if refused != nil {
		return v.refuse(refused, verifyForm(f, ""))
	}
	page := verifyForm(f, headText(found.Last, found.Head))
	page.Verdict = verdictOf(found)
	return v.show(page)
}

func verdictOf(found api.AuditVerdict) *Verdict {
	out := &Verdict{AuditVerdict: found, Kept: keptText(found.Kept)}
	for _, f := range found.Findings {
		if f.Code == foundLost {
			out.Gaps = append(out.Gaps, foundText(f))
		} else {
			out.Problems = append(out.Problems, foundText(f))
		}
	}
	return out
}

// What the check finds is told in English by the API; the other languages have messages
// for it, whose keys are foundArea and the code. That of what is no problem is foundLost.
const (
	foundArea = "found."
	foundLost = "lost"
)

func foundText(f api.AuditFinding) Text {
	which := number(f.From)
	if f.To != f.From {
		which += "–" + number(f.To)
	}
	return sentence(foundArea+f.Code, f.Text, "which", literal(which))
}

func headText(seq uint64, hash string) string {
	if hash == "" {
		return ""
	}
	return strconv.FormatUint(seq, 10) + ":" + hash
}

func verifyForm(f Form, keep string) Verify {
	return Verify{Problem: f.Problem, Keep: keep,
		Known: f.field(Field{Name: "head", Label: say("verify.known"), Hint: say("verify.known.hint"), Type: "search", Max: 100})}
}

func keptText(kept string) Text {
	switch kept {
	case "":
		return Text{}
	case "present":
		return say("verify.kept.present")
	case "pruned":
		return say("verify.kept.pruned")
	case "forgotten":
		return say("verify.kept.forgotten")
	case "lost":
		return say("verify.kept.lost")
	}
	return say("verify.kept.absent")
}
