package db_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"husk/db"
)

// Every secret is sealed anew, those that wait too, and nothing else is changed; the
// sign-in that was under way with the one before is refused.
func TestRewriteTOTP(t *testing.T) {
	f, ann := withAll(t)
	must(t, f.BeginTOTP(f.ctx, ann, otherSecret))
	before := f.factors(ann.ID)
	bob, eve := f.withSession("bob@example.com"), f.withSession("eve@example.com")
	must(t, f.BeginTOTP(f.ctx, bob, []byte("sealed already")))
	f.withPasskey(eve, "eve's", 0)
	reseal := func(user string, sealed []byte) ([]byte, error) {
		if bytes.HasSuffix(sealed, []byte("already")) {
			return nil, nil
		}
		return fmt.Append(nil, user, " ", string(sealed), " already"), nil
	}
	n, err := f.RewriteTOTP(f.ctx, reseal)
	if err != nil || n != 2 {
		t.Fatalf("%d were changed, %v", n, err)
	}
	after := f.factors(ann.ID)
	if got := string(after.TOTP.Secret) + ", " + string(after.Pending.Secret); got != fmt.Sprintf("%[1]s sealed secret already, %[1]s another secret already", ann.ID) {
		t.Errorf("the secrets are %s", got)
	}
	if after.TOTP.Last != before.TOTP.Last || !after.TOTP.Created.Equal(before.TOTP.Created) || len(after.Passkeys) != 2 || after.CodesLeft() != 10 {
		t.Errorf("%+v became %+v", before, after)
	}
	_, err = f.enter(ann.User, totpUse(101))
	wantErr(t, err, db.ErrDenied, "second_factor_moved")
	if n, err := f.RewriteTOTP(f.ctx, reseal); err != nil || n != 0 {
		t.Errorf("once more %d were changed, %v", n, err)
	}
}

// It goes through all of them, however many there are, and passes over what is damaged.
func TestRewriteTOTPOfMany(t *testing.T) {
	f := newStore(t)
	f.broken = true
	const many = 450
	must(t, f.PutFactors(f.ctx, many))
	f.raw(func(tx db.Tx) error { return tx.Put("factor", []byte("user0007"), []byte("damaged")) })
	asked := map[string]bool{}
	n, err := f.RewriteTOTP(f.ctx, func(user string, _ []byte) ([]byte, error) {
		asked[user] = true
		return []byte("new"), nil
	})
	if err != nil || n != many-1 || len(asked) != many-1 {
		t.Errorf("%d were changed of %d, %v", n, len(asked), err)
	}
}

// What can't be opened is left as it is, and ends it.
func TestRewriteTOTPFails(t *testing.T) {
	f, ann := withAll(t)
	failed := errors.New("another key")
	n, err := f.RewriteTOTP(f.ctx, func(string, []byte) ([]byte, error) { return nil, failed })
	if n != 0 || !errors.Is(err, failed) || !bytes.Equal(f.factors(ann.ID).TOTP.Secret, sealedSecret) {
		t.Errorf("%d, %v", n, err)
	}
}
