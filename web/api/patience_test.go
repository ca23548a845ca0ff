package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"husk/web/api"
)

// refusing answers 429 so many times, and 200 after.
type refusing struct {
	times  int
	code   string
	asked  int
	bodies []string
}

func (f *refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	f.asked++
	if r.Body != nil {
		body, _ := io.ReadAll(r.Body)
		f.bodies = append(f.bodies, string(body))
	}
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"name":"x"}`))}
	if f.asked <= f.times {
		answer.StatusCode = http.StatusTooManyRequests
		answer.Header.Set("Retry-After", "10")
		answer.Body = io.NopCloser(strings.NewReader(`{"status":429,"error":{"reason":"slow down","code":"` + f.code + `"}}`))
	}
	return answer, nil
}

func TestPatience(t *testing.T) {
	for name, c := range map[string]struct {
		times    int
		code     string
		patience time.Duration
		asked    int
		waits    time.Duration
		fails    bool
	}{
		"waited out":         {2, api.CodeTooManyChanges, time.Minute, 3, 20 * time.Second, false},
		"for a bounded time": {99, api.CodeTooManyChanges, 35 * time.Second, 4, 30 * time.Second, true},
		"no patience":        {1, api.CodeTooManyChanges, 0, 1, 0, true},
		"a throttle":         {1, "throttled", time.Minute, 1, 0, true},
		"too much of it":     {1, "too_many_tokens", time.Minute, 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &refusing{times: c.times, code: c.code}
				var told time.Duration
				client := &api.Client{Base: "http://husk.test", HTTP: &http.Client{Transport: server}, Patience: c.patience,
					Waiting: func(wait time.Duration, why *api.Error) { told += wait }}
				began := time.Now()
				_, err := client.CreateToken(t.Context(), api.NewToken{Name: "x"})
				if waited := time.Since(began); waited != c.waits || told != c.waits || server.asked != c.asked || (err != nil) != c.fails {
					t.Errorf("asked %d times in %v, told %v: %v", server.asked, waited, told, err)
				}
				for _, body := range server.bodies {
					if body != server.bodies[0] || !strings.Contains(body, `"x"`) {
						t.Errorf("the body was %q, then %q", server.bodies[0], body)
					}
				}
			})
		})
	}
}

// What comes from a stream can't be sent again.
func TestPatienceWithAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &refusing{times: 1, code: api.CodeTooManyChanges}
		client := &api.Client{Base: "http://husk.test", HTTP: &http.Client{Transport: server}, Patience: time.Minute}
		_, err := client.ImportUsers(t.Context(), io.MultiReader(strings.NewReader("{}")), api.ImportOptions{})
		var refused *api.Error
		if !errors.As(err, &refused) || server.asked != 1 {
			t.Errorf("asked %d times: %v", server.asked, err)
		}
	})
}

func TestPatienceGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		server := &refusing{times: 99, code: api.CodeTooManyChanges}
		client := &api.Client{Base: "http://husk.test", HTTP: &http.Client{Transport: server}, Patience: time.Minute}
		began := time.Now()
		_, err := client.DeleteToken(ctx, "x")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
