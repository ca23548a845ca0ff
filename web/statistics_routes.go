package web

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"husk/db"
	"husk/web/api"
)

func (s *Server) statisticsRoutes() []route {
	return []route{
		{method: "GET", path: "/system/statistics", need: permission(db.PermSystemRead), turn: always, do: endpoint(s.statistics)},
		{method: "GET", path: "/auth/access_token/:id/_usage", need: permission(db.PermTokenSearch), do: endpoint(s.tokenUsage)},
	}
}

// spans are what statistics may be asked about, and their points.
var spans = map[string]struct {
	step   string
	period *db.Period
	points int
}{
	"24h":  {"hour", db.Hourly, 24},
	"30d":  {"day", db.Daily, 30},
	"400d": {"day", db.Daily, 400},
}

type statisticsSpan struct {
	Span string `query:"span"`
}

func (s *Server) statistics(ctx context.Context, _ *db.Actor, in *statisticsSpan) (*api.Statistics, error) {
	name := cmp.Or(in.Span, "24h")
	span, known := spans[name]
	if !known {
		return nil, malformed("bad_span", "span is one of 24h, 30d and 400d")
	}
	s.HandCounts()
	counted, err := s.Store.Statistics(ctx, span.period, span.points)
	if err != nil {
		return nil, err
	}
	lives, at, err := s.lives.get(s.Store.Now(), func() ([]db.TokenLife, error) { return s.Store.TokenLives(ctx) })
	if err != nil {
		return nil, err
	}
	return &api.Statistics{Span: name, Step: span.step, Points: pointsOf(counted), TokenLife: tokenLife(lives), TokenLifeCounted: at}, nil
}

func pointsOf(counted []db.PeriodCounts) []api.StatisticsPoint {
	hosts := mostAsked(counted)
	points := make([]api.StatisticsPoint, len(counted))
	for i, c := range counted {
		points[i] = api.StatisticsPoint{
			Time: c.Begin, SignIns: api.SignInCounts(c.SignIns), Requests: api.RequestCounts(c.Requests),
			Gate: gateOf(c.Gate, hosts), StoreBytes: c.Store,
		}
	}
	return points
}

// mostAsked are the hosts that the gate decided about, sorted, and last "" for all
// others, where there are any. In time there may be many more than at once.
func mostAsked(counted []db.PeriodCounts) []string {
	sums := map[string]uint64{}
	for _, c := range counted {
		for host, n := range c.Gate {
			sums[host] += n.Allowed + n.Refused + n.SignIn
		}
	}
	_, others := sums[""]
	delete(sums, "")
	hosts := slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		return cmp.Or(-cmp.Compare(sums[a], sums[b]), cmp.Compare(a, b))
	})
	if len(hosts) > db.MaxGateHosts {
		hosts, others = hosts[:db.MaxGateHosts], true
	}
	slices.Sort(hosts)
	if others {
		hosts = append(hosts, "")
	}
	return hosts
}

func gateOf(counted map[string]db.GateCounts, hosts []string) []api.GateCounts {
	out := make([]api.GateCounts, len(hosts))
	for i, host := range hosts {
		out[i].Host = host
	}
	for host, n := range counted {
		i := slices.Index(hosts, host)
		if i < 0 {
			i = len(hosts) - 1
		}
		out[i].Allowed += n.Allowed
		out[i].Refused += n.Refused
		out[i].SignIn += n.SignIn
	}
	return out
}

// tokenUsage does not take over what is counted in memory alone, as statistics do:
// anybody may ask.
func (s *Server) tokenUsage(ctx context.Context, actor *db.Actor, in *named) (*api.TokenUsage, error) {
	k, err := s.Store.TokenFor(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	first, requests, err := s.Store.TokenRequests(ctx, k.ID)
	if err != nil {
		return nil, err
	}
	out := &api.TokenUsage{ID: k.ID}
	for i, n := range requests {
		out.Days = append(out.Days, api.TokenUsageDay{Date: first.AddDate(0, 0, i).Format(time.DateOnly), Requests: n})
		out.Total += n
	}
	return out, nil
}
