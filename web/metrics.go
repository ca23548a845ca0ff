package web

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"husk/web/fold"
	"husk/web/listen"
)

// Metrics counts what the server does, for Prometheus. docs/monitoring.md
// lists every name. Labels take few values that are known in advance: no id,
// email, address or path that somebody sent.
//
// A nil *Metrics counts nothing: its methods may be called all the same.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	unmatched statusCounters
}

// A check of a credential takes some 30 µs, a password some 50 ms.
var durationBuckets = []float64{0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5}

// NewMetrics registers Husk's metrics, and those of Go and of the process. One
// Metrics serves one Server; what that knows is registered by New.
func NewMetrics(registry *prometheus.Registry) (*Metrics, error) {
	m := &Metrics{
		registry: registry,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "husk_http_requests_total", Help: "Requests answered, by route, method and class of status."}, []string{"route", "method", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "husk_http_request_duration_seconds", Help: "Time until a request was answered.", Buckets: durationBuckets}, []string{"route", "method"}),
	}
	m.unmatched = m.counters("other", "unmatched")
	return m, register(registry, m.requests, m.durations,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

func register(registry *prometheus.Registry, all ...prometheus.Collector) error {
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// attach registers what is read from s at each scrape.
func (m *Metrics) attach(s *Server) error {
	if m == nil {
		return nil
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "husk_build_info", Help: "Always 1; its labels tell the version.",
		ConstLabels: prometheus.Labels{"version": s.Version, "goversion": runtime.Version()}})
	info.Set(1)
	return register(m.registry, info, &serverCollector{s})
}

// routeMetrics are the counters of one route, found once: a request looks
// nothing up and allocates nothing.
type routeMetrics struct {
	classes  statusCounters
	duration prometheus.Observer
}

// statusCounters count by the first digit of the status, from 2 on: Husk
// answers with no other.
type statusCounters [4]prometheus.Counter

func (c *statusCounters) count(status int) { c[min(max(status/100, 2), 5)-2].Inc() }

func (m *Metrics) counters(method, path string) (c statusCounters) {
	for i, class := range []string{"2xx", "3xx", "4xx", "5xx"} {
		c[i] = m.requests.WithLabelValues(path, method, class)
	}
	return c
}

// route returns the counters of a route, each beginning at 0, or nil.
func (m *Metrics) route(method, path string) *routeMetrics {
	if m == nil {
		return nil
	}
	return &routeMetrics{classes: m.counters(method, path), duration: m.durations.WithLabelValues(path, method)}
}

func (r *routeMetrics) count(status int, took time.Duration) {
	r.classes.count(status)
	r.duration.Observe(took.Seconds())
}

// countUnmatched counts what no route is for: many paths, one label.
func (m *Metrics) countUnmatched(status int) {
	if m != nil {
		m.unmatched.count(status)
	}
}

// scrapeTimeout is how long all figures may take to be collected.
const scrapeTimeout = 15 * time.Second

// HTTPServer returns the server of the metrics' own listener: GET /metrics and
// nothing else.
func (m *Metrics) HTTPServer(log *slog.Logger) *http.Server {
	failures := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: failures, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: scrapeTimeout})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Content-Type-Options"] = valueNosniff
		w.Header()["Cache-Control"] = valueNoStore
		scrape.ServeHTTP(w, r)
	})
	return listen.HTTPServer(mux, fold.New(log, time.Now))
}
