package console

import (
	"time"

	"husk/web/api"
)

// The charts of what the server counts.

func signInChart(s api.Statistics) Chart {
	c := Chart{ID: "chart-signins", Title: say("chart.signins"), Empty: say("chart.signins.none"), Column: momentOf(s),
		Series: []Series{{Label: say("chart.ok")}, {Label: say("chart.refused")}, {Label: say("chart.throttled")}}}
	return c.standing(moments(s, func(p api.StatisticsPoint) []uint64 {
		return []uint64{p.SignIns.OK, p.SignIns.Refused, p.SignIns.Throttled}
	}), s.Step == stepDay)
}

func requestChart(s api.Statistics) Chart {
	c := Chart{ID: "chart-requests", Title: say("chart.requests"), Empty: say("chart.requests.none"), Column: momentOf(s),
		Series: []Series{{Label: say("chart.by_session")}, {Kind: "s4", Label: say("chart.by_token")}, {Label: say("chart.by_nothing")}, {Kind: "s2", Label: say("chart.not_good")}}}
	return c.standing(moments(s, func(p api.StatisticsPoint) []uint64 {
		return []uint64{p.Requests.Session, p.Requests.Token, p.Requests.None, p.Requests.Refused}
	}), s.Step == stepDay)
}

// gateChart sums up what the gate decided, by application.
func gateChart(s api.Statistics) Chart {
	c := Chart{ID: "chart-gate", Title: say("chart.gate"), Empty: say("chart.gate.none"), Column: say("chart.application"),
		Series: []Series{{Label: say("chart.allowed")}, {Label: say("chart.refused")}, {Label: say("chart.sent_to_sign_in")}}}
	var all []namedCounts
	for i, p := range s.Points {
		for k, g := range p.Gate { // each point has the same hosts
			if i == 0 {
				name := literal(g.Host)
				if g.Host == "" {
					name = say("chart.other_hosts")
				}
				all = append(all, namedCounts{name: name, values: make([]uint64, 3)})
			}
			all[k].values[0] += g.Allowed
			all[k].values[1] += g.Refused
			all[k].values[2] += g.SignIn
		}
	}
	return c.lying(all)
}

// lifeWords say how much of its life a token has left.
var lifeWords = map[string]string{
	"ended": "life.ended", "1d": "life.1d", "7d": "life.7d", "30d": "life.30d",
	"90d": "life.90d", "365d": "life.365d", "more": "life.more", "never": "life.never",
}

// lifeChart says when its tokens were counted, where that is not just now.
func lifeChart(s api.Statistics, now time.Time) Chart {
	c := Chart{ID: "chart-life", Title: say("chart.life"), Empty: say("chart.life.none"), Column: say("chart.left"),
		Series: []Series{{Label: say("chart.tokens")}}}
	if now.Sub(s.TokenLifeCounted) >= time.Second {
		c.AsOf = s.TokenLifeCounted
	}
	var all []namedCounts
	for _, l := range s.TokenLife {
		name := literal(l.Left)
		if word := lifeWords[l.Left]; word != "" {
			name = say(word)
		}
		all = append(all, namedCounts{name, []uint64{uint64(max(0, l.Total.Value))}, counted(l.Total)})
	}
	return c.lying(all)
}

func storeChart(s api.Statistics) Chart {
	c := Chart{ID: "chart-store", Title: say("chart.store"), Empty: say("chart.store.none"), Column: momentOf(s), Series: []Series{{Label: say("chart.now")}}}
	return c.line(moments(s, func(p api.StatisticsPoint) []uint64 { return []uint64{uint64(max(0, p.StoreBytes))} }), s.Step == stepDay)
}

// usageChart draws how often a token was used on each of the last thirty days.
func usageChart(u api.TokenUsage) Chart {
	c := Chart{ID: "chart-usage", Title: say("chart.usage"), Empty: say("chart.usage.none"), Column: say("chart.day"), Series: []Series{{Label: say("chart.uses")}}}
	var all []moment
	for _, d := range u.Days {
		day, err := time.Parse(time.DateOnly, d.Date)
		if err == nil {
			all = append(all, moment{day, []uint64{d.Requests}})
		}
	}
	return c.standing(all, true)
}

const stepDay = "day"

func momentOf(s api.Statistics) Text {
	if s.Step == stepDay {
		return say("chart.day")
	}
	return say("chart.hour")
}

func moments(s api.Statistics, values func(api.StatisticsPoint) []uint64) (all []moment) {
	for _, p := range s.Points {
		all = append(all, moment{p.Time, values(p)})
	}
	return all
}

// spans are links to the same page with charts of another span.
func (v *Visit) spans(path string, names ...string) (chosen string, tabs []Tab) {
	chosen = names[0]
	for _, name := range names {
		if v.query("span") == name {
			chosen = name
		}
	}
	for _, name := range names {
		tabs = append(tabs, Tab{Path: path + "?span=" + name, Title: spanWords[name], Here: name == chosen})
	}
	return chosen, tabs
}

var spanWords = map[string]Text{"24h": say("span.24h"), "30d": say("span.30d"), "400d": say("span.400d")}
