package web

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"husk/web/gate"
)

// gateMetrics count what the gate decided, by rule. The label of a rule is what it
// is about, as it is configured: those of one host and path are one.
type gateMetrics struct {
	decisions *prometheus.CounterVec
	now       atomic.Pointer[gateCounters]
}

// gateCounters are those of the rules in use: of none, then of each in order. A
// decision looks nothing up.
type gateCounters [][3]prometheus.Counter

var gateOutcomes = [3]gate.Outcome{gate.Refused, gate.SignIn, gate.Allowed}

func newGateMetrics() *gateMetrics {
	return &gateMetrics{decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "husk_gate_decisions_total", Help: "Requests for applications that the gate decided about, by rule and outcome."}, []string{"rule", "outcome"})}
}

// gateRules has the decisions of other rules counted from now on. What was counted
// of rules that are gone is forgotten.
func (m *Metrics) gateRules(rules *gate.Rules) {
	if m == nil {
		return
	}
	labels := []string{"none"}
	for _, rule := range rules.List() {
		labels = append(labels, rule.Host+rule.Path)
	}
	m.gate.decisions.Reset()
	counters := make(gateCounters, len(labels))
	for i, label := range labels {
		for _, outcome := range gateOutcomes {
			counters[i][outcome] = m.gate.decisions.WithLabelValues(label, outcome.String())
		}
	}
	m.gate.now.Store(&counters)
}

// countGate counts a decision of a rule, which may be one of before.
func (m *Metrics) countGate(rule int, outcome gate.Outcome) {
	if m == nil {
		return
	}
	if counters := *m.gate.now.Load(); rule < len(counters) {
		counters[rule][outcome].Inc()
	}
}
