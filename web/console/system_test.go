package console

import (
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/web/api"
	"husk/web/manual"
)

// roomsOfSystem are the pages of who runs the server.
func roomsOfSystem(text string) map[string]Page {
	said, at := literal(text), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	in := inSystem{Tabs: []Tab{{Path: roomSystem, Title: said, Here: true}}}
	state, terminal := State{"good", said}, Terminal{"terminal", text}
	spans := []Tab{{Path: "/console?span=24h", Title: said}}
	lying := Chart{ID: "lying", Title: said, Column: said, Series: []Series{{"s1", said, said}}}.lying([]namedCounts{{said, []uint64{3}, text}})
	lying.Series[0].Total, lying.AsOf = said, at
	form := Form{Once: "x", Problem: said, Proof: true}
	row := BackupRow{Name: text, Made: at, Size: text, Asked: said, State: state, Holds: said}
	return map[string]Page{
		"overview": Overview{Warnings: []Advice{{said, said, said, "/console/manual/backup"}}, Figures: []Figure{{Path: roomUsers, Title: said, Value: said}, {Title: said, At: &at}, {Path: roomSystem, Title: said, State: state}},
			Spans: spans, Charts: []Chart{lying, usageChart(api.TokenUsage{}), signInChart(someStatistics())}, Refusals: []Refusal{{at, said, text, text, 2, "/console/audit/request/x"}, {Time: at, What: said}}, Audit: true, Terminal: terminal},
		"overview new":     Overview{Audit: true},
		"overview further": Overview{Audit: true, Further: true},
		"system": System{inSystem: in, State: state, Warnings: []Advice{{Text: said, Link: "/console/manual"}}, Version: text, License: text, Since: at, Writable: state, CertExpires: &at,
			Size: text, Free: text, Spans: spans, Chart: storeChart(someStatistics()), Check: true, Health: terminal, Checks: Terminal{"checks", text}},
		"system few":   System{inSystem: in, Chart: storeChart(api.Statistics{})},
		"checked":      Checked{inSystem: in, Report: api.CheckReport{OK: true, Records: 1, Compact: true}, Size: text, Free: text, Terminal: terminal},
		"checked bad":  Checked{inSystem: in, Report: api.CheckReport{Problems: []string{text, "b"}}},
		"backups":      Backups{inSystem: in, Done: said, Problem: said, Wait: 3, Kept: true, Encrypts: true, Every: said, Keep: 2, Rows: []BackupRow{row}, Total: 3, Terminal: terminal},
		"backups none": Backups{inSystem: in, Kept: true, Making: true, None: Empty{Text: said}},
		"backups off":  Backups{inSystem: in, Setting: text, File: text},
		"take":         TakeBackup{Form: form, Path: roomBackups + "/fresh"},
		"take kept":    TakeBackup{Form: Form{}, Path: roomBackups + "/x/download", Name: text},
		"keys":         Keys{inSystem: in, Done: said, Keys: []KeyRow{{ID: text, State: state, Created: at}, {ID: "b", Retired: &at, Ends: &at}}, Pager: Pager{roomKeys, roomKeys + "?after=x"}, Terminal: terminal},
		"rotate":       rotationForm(form),
		"rotate known": RotateKey{Form: Form{Once: "x"}, Ending: said, Now: Field{Name: "now", Label: said, Type: "radio"}},
		"settings":     Settings{inSystem: in, File: text, Groups: []SettingGroup{{said, []SettingRow{{text, said, text, said, state}, {Name: "b", About: said, Source: said}}}}, Waiting: 2, Terminal: terminal},
		"settings few": Settings{inSystem: in},
	}
}

// someStatistics have a little of everything in two hours of a day.
func someStatistics() api.Statistics {
	s := api.Statistics{Span: "24h", Step: "hour", TokenLife: []api.TokenLife{{Left: "ended"}, {Left: "7d", Total: api.Total{Value: 12, Relation: "eq"}}, {Left: "never", Total: api.Total{Value: 1000, Relation: "gte"}}}}
	begin := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	s.TokenLifeCounted = begin.Add(24 * time.Hour)
	for i := range 24 {
		p := api.StatisticsPoint{Time: begin.Add(time.Duration(i) * time.Hour), Gate: []api.GateCounts{{Host: "app.example.com"}, {}}}
		if i == 3 || i == 23 {
			p.SignIns = api.SignInCounts{OK: 30, Refused: 9, Throttled: 1}
			p.Requests = api.RequestCounts{Session: 4, Token: 3, None: 2, Refused: 1}
			p.Gate[0] = api.GateCounts{Host: "app.example.com", Allowed: 60, Refused: 20, SignIn: 20}
			p.Gate[1].Refused = 10
			p.StoreBytes = int64(i+1) << 20
		}
		s.Points = append(s.Points, p)
	}
	return s
}

// Each warning of the contract is said in words with a next step, by a page of the
// manual that is there; and no other.
func TestWarningsAreAdvised(t *testing.T) {
	contract, err := os.ReadFile("../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\| - \| of warnings in health, .*$`).FindString(string(contract))
	codes := []string{"disk_failed", "disk_full", "store_damaged", "store_moved"} // those above, which requests are refused with, too
	for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(line, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) < 15 {
		t.Fatalf("the contract has the warnings %q", codes)
	}
	for _, code := range codes {
		a := advise([]api.Warning{{Code: code, Text: "in other words"}})[0]
		if !strings.HasPrefix(a.Text.key, "warning."+code) || a.Next.key != "warning."+code+".next" {
			t.Errorf("%s: %q, %q", code, a.Text.key, a.Next.key)
		}
		if _, ok := manual.Get(strings.TrimPrefix(a.Link, roomManual+"/")); !ok {
			t.Errorf("%s leads to %s", code, a.Link)
		}
	}
	for code := range warningWords {
		if !slices.Contains(codes, code) {
			t.Errorf("%s is no warning", code)
		}
	}
	if got := advise([]api.Warning{{Code: "of_tomorrow", Text: "it rains"}})[0]; got.Text.plain != "it rains" {
		t.Errorf("a warning that is not known: %+v", got)
	}
}

func TestStandingChart(t *testing.T) {
	c := signInChart(someStatistics())
	if len(c.Bars) != 6 || len(c.Rows) != 24 || len(c.Ticks) != 3 {
		t.Fatalf("%d bars, %d rows, %d ticks", len(c.Bars), len(c.Rows), len(c.Ticks))
	}
	// The parts stand upon each other, and fill the height.
	first, second, third := c.Bars[0], c.Bars[1], c.Bars[2]
	if c.Marks[2].Label != "40" || !near(first.Y+first.Height, chartBottom) || !near(second.Y+second.Height, first.Y) || !near(third.Y+third.Height, second.Y) || !near(third.Y, chartTop) {
		t.Errorf("marks %v, bars %v %v %v", c.Marks, first, second, third)
	}
	if first.Kind != "s1" || second.Kind != "s2" || third.Kind != "s3" {
		t.Errorf("%s %s %s", first.Kind, second.Kind, third.Kind)
	}
	if c.Bars[3].X+c.Bars[3].Width > chartRight || c.Bars[3].X <= first.X {
		t.Errorf("the last hour stands at %v, that of the third at %v", c.Bars[3].X, first.X)
	}
	if c.Rows[3].Values[1] != "9" || c.Rows[3].Day || c.Series[0].Total.plain != "60" || c.Ticks[2].Label != "23:00 UTC" {
		t.Errorf("%v %v %v", c.Rows[3], c.Series, c.Ticks)
	}
}

func near(a, b px) bool { return math.Abs(float64(a-b)) < .01 }

// What was hardly counted beside much is seen all the same.
func TestChartShowsTheLeast(t *testing.T) {
	c := usageChart(api.TokenUsage{Days: []api.TokenUsageDay{{Date: "2026-11-23", Requests: 1}, {Date: "2026-11-24", Requests: 1_000_000}}})
	if len(c.Bars) != 2 || c.Bars[0].Height < 1 || !c.Rows[0].Day || c.Ticks[0].Label != "11-23" {
		t.Errorf("%+v", c)
	}
}

func TestChartsOfNothingAreBlank(t *testing.T) {
	empty := api.Statistics{Step: "day", Points: []api.StatisticsPoint{{Gate: []api.GateCounts{{Host: "a"}}}}, TokenLife: []api.TokenLife{{Left: "ended"}}}
	for _, s := range []api.Statistics{{}, empty} {
		for _, c := range []Chart{signInChart(s), requestChart(s), gateChart(s), lifeChart(s, time.Time{}), storeChart(s), usageChart(api.TokenUsage{})} {
			if !c.Blank() || !c.Empty.Said() {
				t.Errorf("%s: %+v", c.ID, c)
			}
		}
	}
	for _, c := range []Chart{signInChart(someStatistics()), requestChart(someStatistics()), gateChart(someStatistics()), lifeChart(someStatistics(), someStatistics().TokenLifeCounted), storeChart(someStatistics())} {
		if c.Blank() {
			t.Errorf("%s is blank", c.ID)
		}
	}
}

func TestLyingCharts(t *testing.T) {
	gate := gateChart(someStatistics())
	if len(gate.Lying) != 2 || gate.Lying[0].Total != "200" || len(gate.Lying[0].Parts) != 3 || gate.Lying[0].Parts[1].X != 60 || gate.Lying[1].Parts[0].Width != 10 || gate.Lying[1].Name.key != "chart.other_hosts" {
		t.Errorf("%+v", gate.Lying)
	}
	life := lifeChart(someStatistics(), someStatistics().TokenLifeCounted)
	if !life.AsOf.IsZero() {
		t.Errorf("what was counted just now is of %v", life.AsOf)
	}
	if old := lifeChart(someStatistics(), someStatistics().TokenLifeCounted.Add(30*time.Second)); !old.AsOf.Equal(someStatistics().TokenLifeCounted) {
		t.Errorf("what was counted before is of %v", old.AsOf)
	}
	if len(life.Lying) != 3 || life.Lying[2].Total != "1\u202f000+" || life.Rows[2].Values[0] != "1\u202f000+" || len(life.Lying[0].Parts) != 0 {
		t.Errorf("%+v", life)
	}
}

// Hours of which the size is not known are left out; one that is known alone is a dot.
func TestLineChart(t *testing.T) {
	c := storeChart(someStatistics())
	if strings.Count(c.Line, "M") != 1 || strings.Count(c.Line, "L") != 1 || !strings.HasSuffix(c.Area, "Z") || c.Marks[2].Label != "32.0 MiB" || c.Series[0].Total.plain != "24.0 MiB" {
		t.Errorf("%+v", c)
	}
	s := someStatistics()
	s.Points[3].StoreBytes = 0
	if c := storeChart(s); !strings.HasSuffix(c.Line, "h0") {
		t.Errorf("%q", c.Line)
	}
}

func TestNiceNumbers(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 1, 1: 1, 2: 2, 3: 4, 5: 6, 7: 10, 11: 20, 99: 100, 101: 200, 5000: 6000, 1<<64 - 1: 1<<64 - 1} {
		if got := niceCount(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
	for n, want := range map[uint64]uint64{1: 1024, 1025: 2048, 3 << 20: 4 << 20, 1<<64 - 1: 1 << 62} {
		if got := niceBytes(n); got != want {
			t.Errorf("%d bytes: %d, want %d", n, got, want)
		}
	}
}

// What a warning tells besides is in every language, with the values that the server
// gives; and no language has a message for what no warning tells.
func TestWarningDetails(t *testing.T) {
	values := map[string]map[string]string{
		"backup_failed":       {"trouble": "failed", "newest": "none", "cause": "full"},
		"certificate_expired": {"ended": "2030-01-02T03:04:05Z"},
		"certificate_stale":   {"ends": "2030-01-02T03:04:05Z"},
		"clock_set_back":      {"by": "1h0m0s", "shows": "2030-01-02T03:04:05Z", "seen": "2030-01-02T04:04:05Z"},
		"clock_one_side":      {"side": "behind", "codes": "12", "users": "3"},
		"many_tokens":         {"times": "10", "owners": "1", "most": "11"},
		"secrets_unreadable":  {"users": "2"},
		"no_public_url":       {"told": "http://localhost:9000"},
		"store_slow":          {"patience": "5s"},
	}
	zh := languageOf("zh")
	for code, words := range warningWords {
		if words.detail != (values[code] != nil) {
			t.Errorf("%s has a detail: %t", code, words.detail)
			continue
		}
		if !words.detail {
			continue
		}
		detail := advise([]api.Warning{{Code: code, Text: "in English", Values: values[code]}})[0].Detail
		told, err := zh.html(detail)
		if text := string(told); err != nil || strings.ContainsAny(text, "{}") || strings.Contains(text, "English") || strings.Contains(text, "full") {
			t.Errorf("%s is told as %q, %v", code, text, err)
		}
		for _, value := range values[code] {
			if at, err := time.Parse(time.RFC3339, value); err == nil && !strings.Contains(string(told), string(zh.when(at))) {
				t.Errorf("%s does not tell %s: %s", code, value, told)
			}
		}
		if told, err := languageOf("en").html(detail); told != "in English" || err != nil {
			t.Errorf("%s in English: %q, %v", code, told, err)
		}
	}
	known := []string{"trouble_failed", "trouble_overdue", "newest_none", "side_behind", "side_ahead"}
	for key := range zh.messages {
		if code, ok := strings.CutPrefix(key, "detail."); ok && values[code] == nil && !slices.Contains(known, code) && !strings.HasPrefix(code, "cause_") {
			t.Errorf("nothing says %s", key)
		}
	}
}
