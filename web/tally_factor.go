package web

import (
	"context"
	"errors"
	"sync/atomic"

	"husk/db"
	"husk/web/factor"
	"husk/web/password"
)

// Results of a second factor that was shown.
const (
	factorOK    = "ok"    // it is right; the store may find it used meanwhile
	factorWrong = "wrong" // it is none of the user's
	factorUsed  = "used"  // it was good before
	factorBusy  = "busy"  // not looked at: too many at once
	factorError = "error" // something else went wrong
)

var (
	factorMethods = []string{db.MethodTOTP, db.MethodPasskey, db.MethodRecovery}
	factorResults = []string{factorOK, factorWrong, factorUsed, factorBusy, factorError}
)

// factorCount is what second factors are counted by.
type factorCount struct{ method, result string }

func newFactorCounts() map[factorCount]*atomic.Uint64 {
	counts := map[factorCount]*atomic.Uint64{}
	for _, method := range factorMethods {
		for _, result := range factorResults {
			counts[factorCount{method, result}] = new(atomic.Uint64)
		}
	}
	return counts
}

// countFactor counts a second factor that was shown.
func (t *tally) countFactor(method, result string) {
	t.factors[factorCount{method, result}].Add(1)
}

// countCode counts a code that was compared with what its user has. One that the client
// gave up has no result.
func (t *tally) countCode(code *factor.Code, right, used bool, err error) {
	method, result := db.MethodTOTP, factorOK
	if code.Recovery != nil {
		method = db.MethodRecovery
	}
	switch {
	case errors.Is(err, context.Canceled):
		return
	case errors.Is(err, password.ErrBusy):
		result = factorBusy
	case err != nil:
		result = factorError
	case used:
		result = factorUsed
	case !right:
		result = factorWrong
	}
	t.countFactor(method, result)
}
