package factor

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

func TestFindTOTP(t *testing.T) {
	secret := []byte("12345678901234567890")
	now := time.Unix(1_800_000_015, 0)
	for steps := int64(-FarDrift - 3); steps <= FarDrift+3; steps++ {
		code, err := totp.GenerateCode(SecretText(secret), now.Add(time.Duration(steps)*Period))
		if err != nil {
			t.Fatal(err)
		}
		step, ok := FindTOTP(secret, code, now)
		far := max(steps, -steps)
		if want := far > Drift && far <= FarDrift; ok != want || ok && step != Step(now)+steps {
			t.Errorf("a code of %d steps away: %d, %v", steps, step-Step(now), ok)
		}
	}
	if step, ok := FindTOTP(secret, "12345", now); ok {
		t.Errorf("five digits are of step %d", step)
	}
}

func BenchmarkFindTOTP(b *testing.B) {
	secret := []byte("12345678901234567890")
	for b.Loop() {
		FindTOTP(secret, "000000", time.Unix(1_800_000_015, 0))
	}
}
