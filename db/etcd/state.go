package etcd

import (
	"context"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Member is what one member of the cluster says of itself.
type Member struct {
	Endpoint string // HOST:PORT
	Err      error  // why it says nothing; the rest is zero then

	Version string // of the server, as 3.5.16
	Size    int64  // of its file, in bytes
	InUse   int64  // of them; the rest is what defragmentation gives back
	Leads   bool   // the others follow it
	Learner bool   // it follows, and has no vote
	Behind  uint64 // how many entries it knows of and has not yet come to
	Alarms  []string
}

// mayTell is how long one member is asked of itself.
const mayTell = 2 * time.Second

// Members asks each member of itself, all at once, and returns what they say in the order
// in which the engine was given them. Those whom it was not given it does not know of.
func (e *Engine) Members(ctx context.Context) []Member {
	all := make([]Member, len(e.members.all))
	var work sync.WaitGroup
	for i, m := range e.members.all {
		all[i].Endpoint = m.endpoint
		work.Go(e.guard("members", func() { all[i].ask(ctx, m) }))
	}
	work.Wait()
	return all
}

func (s *Member) ask(ctx context.Context, m *member) {
	ctx, cancel := context.WithTimeout(ctx, mayTell)
	defer cancel()
	c, err := m.connected(ctx)
	var r *clientv3.StatusResponse
	if err == nil {
		r, err = c.Status(ctx, c.Endpoints()[0])
	}
	if err != nil {
		s.Err = unavailable(plain(err), err)
		return
	}
	s.Version, s.Size, s.InUse = r.Version, r.DbSize, r.DbSizeInUse
	s.Leads, s.Learner = r.Leader != 0 && r.Leader == r.Header.MemberId, r.IsLearner
	s.Behind = r.RaftIndex - min(r.RaftIndex, r.RaftAppliedIndex)
	for _, said := range r.Errors {
		s.Alarms = append(s.Alarms, alarm(said))
	}
}

// alarm is the name of an alarm as etcd tells it: "memberID:1 alarm:NOSPACE ".
func alarm(said string) string {
	if _, name, ok := strings.Cut(said, "alarm:"); ok {
		return strings.TrimSpace(name)
	}
	return strings.TrimPrefix(said, "etcdserver: ")
}
