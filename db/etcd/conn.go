package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
)

const (
	// patience is how long a store that does not answer is asked: each member in
	// its turn.
	patience = 4500 * time.Millisecond

	// firstTry is for how long one member is asked before the next one is, in the
	// first round; later ones take twice as long each.
	firstTry = 500 * time.Millisecond

	mayDial = time.Second // how long one try to connect lasts
)

// members are the members of the cluster, each with a connection of its own, so that
// what one of them does not answer can be asked of another.
type members struct {
	all    []*member
	first  atomic.Uint32 // the one that answered last
	closed atomic.Bool
}

type member struct {
	endpoint string
	config   clientv3.Config
	probe    string // a key that may be read

	mu     sync.Mutex
	client *clientv3.Client // nil: not made yet
}

func newMembers(o Options, prefix string) *members {
	c := &members{}
	for _, endpoint := range o.Endpoints {
		scheme := "http://"
		if o.TLS != nil {
			scheme = "https://"
		}
		c.all = append(c.all, &member{endpoint: endpoint, probe: prefix + headKey, config: clientv3.Config{
			Endpoints:            []string{scheme + endpoint},
			DialTimeout:          mayDial,
			DialKeepAliveTime:    10 * time.Second, // etcd ends connections that ask more often than each 5 s
			DialKeepAliveTimeout: 3 * time.Second,
			TLS:                  clone(o.TLS),
			Username:             o.User,
			Password:             o.Password,
			Logger:               zap.NewNop(), // an error is told once, by who asked
			MaxUnaryRetries:      2,            // the second with a new credential, where the first had ended
			MaxCallSendMsgSize:   2 << 20,
			MaxCallRecvMsgSize:   1 << 30,
			DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: mayDial},
				MinConnectTimeout: mayDial,
			})},
		}})
	}
	return c
}

func clone(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	return c.Clone()
}

func (c *members) close() error {
	c.closed.Store(true)
	var errs []error
	for _, m := range c.all {
		m.mu.Lock()
		if m.client != nil {
			errs = append(errs, m.client.Close())
			m.client = nil
		}
		m.mu.Unlock()
	}
	return errors.Join(errs...)
}

// connected returns the client of a member once it is connected.
func (m *member) connected(ctx context.Context) (*clientv3.Client, error) {
	m.mu.Lock()
	if m.client == nil {
		client, err := clientv3.New(m.config)
		if err != nil {
			m.mu.Unlock()
			return nil, err
		}
		m.client = client
	}
	client := m.client
	m.mu.Unlock()
	for conn := client.ActiveConnection(); ; {
		switch state := conn.GetState(); state {
		case connectivity.Ready:
			return client, nil
		case connectivity.Shutdown:
			return nil, errClosed
		case connectivity.TransientFailure:
			// What is asked now is refused with the reason, and is not sent.
			_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte(m.probe), Serializable: true, KeysOnly: true}, grpc.WaitForReady(false))
			if err != nil && conn.GetState() != connectivity.Ready {
				return nil, err
			}
		default:
			conn.Connect()
			if !conn.WaitForStateChange(ctx, state) {
				return nil, ctx.Err()
			}
		}
	}
}

// asked is what became of a question to the members.
type asked struct {
	sent    bool // one of them may have had it
	refused bool // the last one gave a reason that others would give, too
}

// ask asks one member after the other until one answers, or refuses for a reason that
// others would have, too. f may be called many times.
func (c *members) ask(ctx context.Context, f func(context.Context, *clientv3.Client) error) (asked, error) {
	var a asked
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	first := c.first.Load()
	tell := map[string]string{}
	var last error
	for try := 0; within.Err() == nil; try++ {
		if c.closed.Load() {
			return a, errClosed
		}
		at := (int(first) + try) % len(c.all)
		m := c.all[at]
		err := c.askOne(within, m, firstTry<<(try/len(c.all)), &a, f)
		if err == nil {
			c.first.Store(uint32(at))
			return a, nil
		}
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		if !passing(err) {
			a.refused = true
			return a, err
		}
		if within.Err() == nil || tell[m.endpoint] == "" {
			tell[m.endpoint], last = fmt.Sprintf("%s: %s", m.endpoint, plain(err)), err
		}
		if try%len(c.all) == len(c.all)-1 {
			pause(within, 20*time.Millisecond<<min(try/len(c.all), 4))
		}
	}
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	var tried []string
	for _, m := range c.all {
		if tell[m.endpoint] != "" {
			tried = append(tried, tell[m.endpoint])
		}
	}
	return a, unreachable(tried, last)
}

func (c *members) askOne(ctx context.Context, m *member, atMost time.Duration, a *asked, f func(context.Context, *clientv3.Client) error) error {
	if len(c.all) > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, atMost)
		defer cancel()
	}
	client, err := m.connected(ctx)
	if err != nil {
		return err
	}
	a.sent = true
	return f(ctx, client)
}

// pause waits for about so long.
func pause(ctx context.Context, about time.Duration) {
	t := time.NewTimer(about/2 + rand.N(about))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// plain is the text of an error without what gRPC puts around it.
func plain(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	text := err.Error()
	for _, before := range []string{"desc = ", "transport: ", "Error while dialing: "} {
		if i := strings.LastIndex(text, before); i >= 0 {
			text = text[i+len(before):]
		}
	}
	return strings.Trim(text, `"`)
}
