package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"husk/db/dbtest"
)

const monitoringDocs = "../docs/monitoring"

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page lists every metric with its type and labels, and no other.
func TestEveryMetricIsListed(t *testing.T) {
	listed := map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| `(husk_\\w+)` \\| (\\w+) \\|([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(readDoc(t, monitoringDocs+".md"), -1) {
		text := regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(m[3], "") // what a label may be
		labels := []string{}
		for _, l := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(text, -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		listed[m[1]] = append([]string{m[2]}, labels...)
	}
	registered := map[string]bool{}
	m := newMeasured(t, nil)
	defer m.run(t)() // else nothing is proved
	for name, f := range m.families(t) {
		if !strings.HasPrefix(name, "husk_") {
			continue
		}
		registered[name] = true
		want := append([]string{strings.ToLower(f.GetType().String())}, labelsOf(f)...)
		if !slices.Equal(listed[name], want) {
			t.Errorf("docs/monitoring.md lists %s as %q, it is %q", name, listed[name], want)
		}
	}
	for name := range listed {
		if !registered[name] {
			t.Errorf("docs/monitoring.md lists %s, which is not there", name)
		}
	}
}

func labelsOf(f *dto.MetricFamily) (labels []string) {
	for _, l := range f.GetMetric()[0].GetLabel() {
		labels = append(labels, l.GetName())
	}
	slices.Sort(labels)
	return labels
}

// The page lists every word that a warning can have; see web/upkeep for the others.
func TestEveryWarningIsListed(t *testing.T) {
	page := readDoc(t, monitoringDocs+".md")
	for _, word := range []string{"certificate_expired", "certificate_stale", "many_changes"} {
		if !strings.Contains(page, "`"+word+"`") {
			t.Errorf("docs/monitoring.md does not tell of %s", word)
		}
	}
}

// promWords are the words of PromQL that the rules and the dashboard use.
var promWords = []string{"sum", "by", "rate", "increase", "histogram_quantile", "time", "label_values"}

// checkQuery reports what in a query is no metric, and labels that the metric
// does not have.
func checkQuery(t *testing.T, families map[string]*dto.MetricFamily, query string) {
	t.Helper()
	given := []string{"job", "instance", "le"} // by Prometheus, and of a histogram's buckets
	known := slices.Clone(given)
	bare := regexp.MustCompile(`"[^"]*"|\[[^\]]*\]`).ReplaceAllString(query, "")
	grouped := regexp.MustCompile(`by \(([^)]*)\)`)
	matchers := regexp.MustCompile(`\{([^}]*)\}`)
	words := regexp.MustCompile(`[a-zA-Z_]\w*`)
	names := 0
	for _, name := range words.FindAllString(matchers.ReplaceAllString(grouped.ReplaceAllString(bare, ""), ""), -1) {
		if slices.Contains(promWords, name) || name == "instance" && strings.HasPrefix(query, "label_values") {
			continue
		}
		names++
		f := families[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")]
		switch {
		case name == "up":
		case f == nil, (f.GetType() == dto.MetricType_HISTOGRAM) == (f.GetName() == name):
			t.Errorf("there is no %s, in %s", name, query)
		default:
			known = append(known, labelsOf(f)...)
		}
	}
	if names == 0 {
		t.Errorf("no metric in %s", query)
	}
	for _, part := range append(matchers.FindAllStringSubmatch(bare, -1), grouped.FindAllStringSubmatch(bare, -1)...) {
		for _, label := range words.FindAllString(part[1], -1) {
			if !slices.Contains(known, label) {
				t.Errorf("there is no label %s, in %s", label, query)
			}
		}
	}
}

func TestDashboardQueries(t *testing.T) {
	families := newMeasured(t, nil).families(t)
	var dashboard any
	if err := json.Unmarshal([]byte(readDoc(t, monitoringDocs+"/grafana.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	collectQueries(dashboard, &queries)
	if len(queries) < 20 {
		t.Errorf("%d queries were found", len(queries))
	}
	for _, q := range queries {
		if q != "prometheus" { // the kind of the data source
			checkQuery(t, families, q)
		}
	}
}

func collectQueries(v any, queries *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && (key == "expr" || key == "query") {
				*queries = append(*queries, text)
			}
			collectQueries(inner, queries)
		}
	case []any:
		for _, inner := range v {
			collectQueries(inner, queries)
		}
	}
}

func TestAlertQueries(t *testing.T) {
	families := newMeasured(t, nil).families(t)
	rules := readDoc(t, monitoringDocs+"/alerts.yml")
	found := regexp.MustCompile(`(?m)^ +expr: (?:\|\n((?: {10}.*\n)+)|(.+)\n)`).FindAllStringSubmatch(rules, -1)
	if want := strings.Count(rules, "- alert:"); len(found) != want || want == 0 {
		t.Fatalf("%d expressions of %d alerts", len(found), want)
	}
	for _, m := range found {
		checkQuery(t, families, m[1]+m[2])
	}
}

// Prometheus itself takes the rules, and each fires on its fault. promtool is
// in Debian's package prometheus.
func TestAlertsByPromtool(t *testing.T) {
	dbtest.NoRace(t, "the alerts by the real promtool")
	t.Parallel()
	dbtest.TakesLong(t, "the alerts by the real promtool")
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	rules := readDoc(t, monitoringDocs+"/alerts.yml")
	for _, alert := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(readDoc(t, "testdata/alerts_test.yml"), `alertname="`+alert[1]+`"`) {
			t.Errorf("no case of %s in testdata/alerts_test.yml", alert[1])
		}
	}
	for _, args := range [][]string{{"check", "rules", monitoringDocs + "/alerts.yml"}, {"test", "rules", "testdata/alerts_test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
