package web

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"husk/db/fsys"
)

// messagesOf are those of the pages in a language.
func messagesOf(t *testing.T, lang string) (messages map[string]string) {
	t.Helper()
	text, err := os.ReadFile("console/messages/" + lang + ".json")
	if err == nil {
		err = json.Unmarshal(text, &messages)
	}
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// codesIn are the codes that a pattern finds in a file of Go.
func codesIn(t *testing.T, file, pattern string) (codes []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		codes = append(codes, m[1])
	}
	if len(codes) == 0 {
		t.Fatalf("%s has no %s", file, pattern)
	}
	return codes
}

// Each reason of the gate is said in every language of the pages, and no other. The
// codes are those of the table, of what makes a question malformed, and of what is the
// matter with a credential.
func TestRuleReasonsHaveMessages(t *testing.T) {
	t.Parallel()
	codes := slices.Collect(maps.Keys(ruleReasons))
	codes = append(codes, codesIn(t, "gate/adapter.go", `&Malformed\{Code: "(\w+)"`)...)
	for _, cause := range codesIn(t, "errors.go", `err(?:Token|From|Gate|Owner)\w+ += refusedFor\("(\w+)"`) {
		codes = append(codes, "token_"+cause)
	}
	for _, cause := range codesIn(t, "errors.go", `errOwner\w+ += refusedFor\("(\w+)"`) {
		codes = append(codes, "user_"+cause)
	}
	for _, code := range codes {
		if ruleReasons[code] == "" && (strings.HasPrefix(code, "token_") || strings.HasPrefix(code, "user_")) {
			t.Errorf("%s has no text", code)
		}
	}
	contract, err := os.ReadFile("../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, promised, _ := strings.Cut(string(contract), "\n## Codes of reasons\n")
	promised, _, _ = strings.Cut(promised, "\n## ")
	for code := range ruleReasons {
		if !strings.Contains(promised, "`"+code+"`") {
			t.Errorf("the contract does not have the reason %s", code)
		}
	}
	for _, lang := range []string{"en", "zh"} {
		messages := messagesOf(t, lang)
		for _, code := range codes {
			if messages["reason."+code] == "" {
				t.Errorf("%s has no reason.%s", lang, code)
			}
		}
		for key, text := range messages {
			code, isReason := strings.CutPrefix(key, "reason.")
			if isReason && !slices.Contains(codes, code) {
				t.Errorf("%s has %s, which is no reason", lang, key)
			}
			if isReason && strings.Contains(text, "{word}") && !strings.Contains(ruleReasons[code], "{word}") {
				t.Errorf("%s: %s tells a word that the reason has not", lang, key)
			}
		}
	}
}

// Each kind of what the system answers is said in every language that says it itself.
func TestCausesHaveMessages(t *testing.T) {
	t.Parallel()
	zh, n := messagesOf(t, "zh"), 0
	for kind := fsys.Odd; kind <= fsys.Spent; kind++ {
		n++
		if zh["detail.cause_"+kind.String()] == "" {
			t.Errorf("zh has no detail.cause_%s", kind)
		}
	}
	for key := range zh {
		if strings.HasPrefix(key, "detail.cause_") {
			n--
		}
	}
	if n != -1 { // the one that is not known
		t.Errorf("zh has %d more causes than there are", -n-1)
	}
}
