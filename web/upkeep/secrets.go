package upkeep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"husk/web/api"
	"husk/web/factor"
)

// secrets is what is known of the secrets of second factors.
type secrets struct {
	unreadable atomic.Int64 // users of whom one can't be read
	seen       time.Time    // when all was well with them last
	told       watcher      // of its own: only the goroutine that looks uses it
}

const codeUnreadable = "secrets_unreadable"

// lookAtSecrets seals those anew that are plain or under an older key, and finds
// those that can't be read. It reads all of them: once all is well, daily.
func (u *Upkeep) lookAtSecrets(ctx context.Context) {
	now := u.Store.Now()
	if within(tellEvery, now, u.secrets.seen) {
		return
	}
	found, err := u.findSecrets(ctx)
	if err == nil && found.stale && u.leads(ctx) {
		err = u.resealSecrets(ctx)
	}
	u.warn(ctx, "the secrets of second factors could not be looked at or sealed in the store: it is tried again in ten minutes", err)
	if err != nil {
		return
	}
	u.secrets.unreadable.Store(found.unreadable())
	u.tellSecrets(found, now)
	if found.unreadable() == 0 {
		u.secrets.seen = now
	}
}

// foundSecrets are users by what is wrong with a secret of theirs.
type foundSecrets struct {
	damaged map[string]bool
	unknown map[string]bool
	keys    map[string]bool // the ids of those that are not there
	stale   bool            // some are not sealed under the first key
}

func (f *foundSecrets) unreadable() int64 { return int64(len(f.damaged) + len(f.unknown)) }

func (u *Upkeep) findSecrets(ctx context.Context) (*foundSecrets, error) {
	f := &foundSecrets{damaged: map[string]bool{}, unknown: map[string]bool{}, keys: map[string]bool{}}
	err := u.Store.EachTOTP(ctx, func(user string, sealed []byte) {
		again, err := u.Sealer.Reseal(user, sealed)
		var unknown *factor.UnknownKeyError
		switch {
		case errors.As(err, &unknown):
			f.unknown[user], f.keys[unknown.Key] = true, true
		case err != nil:
			f.damaged[user] = true
		case again != nil:
			f.stale = true
		}
	})
	return f, err
}

// resealSecrets leaves those as they are that can't be read: there is nothing to seal.
func (u *Upkeep) resealSecrets(ctx context.Context) error {
	n, err := u.Store.RewriteTOTP(ctx, func(user string, sealed []byte) ([]byte, error) {
		again, err := u.Sealer.Reseal(user, sealed)
		if errors.Is(err, factor.ErrSealed) {
			return nil, nil
		}
		return again, err
	})
	if n > 0 {
		u.Log.Info("secrets of second factors were sealed anew, under the first key of --secrets-key-file", "secrets", n, "key", u.Sealer.Keys()[0])
	}
	return err
}

// namedUsers is how many users a line of the log names.
const namedUsers = 5

// tellSecrets tells the log of those that can't be read: when it begins, and daily.
func (u *Upkeep) tellSecrets(f *foundSecrets, now time.Time) {
	if !u.secrets.told.due(codeUnreadable, f.unreadable() > 0, now) {
		return
	}
	if len(f.unknown) > 0 {
		u.Log.Error("secrets of second factors are sealed under a key that --secrets-key-file does not have: put that key back, or reset these users' second factors",
			"users", len(f.unknown), "keys", someOf(f.keys), "first", someOf(f.unknown))
	}
	if len(f.damaged) > 0 {
		u.Log.Error("secrets of second factors are damaged: reset these users' second factors, or restore a backup", "users", len(f.damaged), "first", someOf(f.damaged))
	}
}

func someOf(set map[string]bool) string {
	all := slices.Sorted(maps.Keys(set))
	return strings.Join(all[:min(len(all), namedUsers)], " ")
}

// SecretWarnings tells of secrets of second factors that can't be read, and names
// nobody.
func (u *Upkeep) SecretWarnings() []api.Warning {
	if u == nil {
		return nil
	}
	n := u.secrets.unreadable.Load()
	if n == 0 {
		return nil
	}
	return []api.Warning{{Code: codeUnreadable, Text: fmt.Sprintf(
		"users whose TOTP secret can't be read, so that no code of theirs is taken: %d; it is sealed under a key that secrets-key-file does not have, or damaged: the log names the key", n),
		Values: map[string]string{"users": strconv.FormatInt(n, 10)}}}
}
