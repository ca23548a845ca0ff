//go:build unix

package cmd

import (
	"strings"
	"testing"
)

// TestMistakes holds every command to the same two codes: 2 where it is called
// wrongly, 3 where what it names is not there.
func TestMistakes(t *testing.T) {
	t.Parallel()
	data := newData(t)
	dir := t.TempDir()
	empty := writeFile(t, dir, "empty", "")
	absent := dir + "/absent"
	for code, lines := range map[int][]string{
		exitUsage: {
			"nosuch", "token nosuch", "user nosuch", "completion nosuch", "help nosuch", "config nosuch",
			"--nosuch", "token list --nosuch", "user list -z", "serve --nosuch",
			"token list extra", "user list extra", "serve extra", "health extra", "version extra", "backup extra", "audit list extra", "key rotate extra",
			"user show", "user create", "user update", "user delete", "user unlock", "user enable", "user reset-second-factor", "role show", "role set", "role delete",
			"token show", "token update", "token rotate", "session show", "explain", "restore", "man", "config check", "user import",
			"token revoke", "session revoke", "token revoke --all", "session revoke --all", "backup",
			"user show a b", "role show a b", "token show a b", "passwd a b", "restore a b",
			"token create --expires soon", "token create --expires -1h", "token create --expires 300y", "token create --expires 9999-12-31", "token list --expiring soon", "token rotate x --grace soon",
			"audit list --since soon", "audit list --until soon", "serve --addr nowhere", "serve --log-level loud", "serve --session-ttl 0s",
			"user list --server ftp://x", "user list --server nowhere", "token list --json=perhaps",
			"user create a@b.c --password-stdin --generate", "user create a@b.c --no-password --generate", "user import --htpasswd x --ndjson y",
			"token create --permission nonsense", "token create --allowed-ip 300.0.0.1", "token create --allowed-ip 10.0.0.0/33", "role set reader --permission nonsense",
			"role set .x --permission wiki#page/edit", "user create nonsense --no-password", "token create --user=", "token create --output=", "token list --owner=", "token revoke --user= --all",
			"token list --user a --owner b", "backup --output - --recipient nonsense",
			"restore x --server http://localhost:1", "compact --server http://localhost:1", "serve --server http://localhost:1",
			"user list --server https://localhost:1 --server-ca " + empty,
		},
		exitNotFound: {
			"user show nobody@example.com", "user update nobody@example.com --name x", "user delete nobody@example.com", "user unlock nobody@example.com",
			"user enable nobody@example.com", "user disable nobody@example.com", "user reset-second-factor nobody@example.com", "role set nothing --require-second-factor", "passwd nobody@example.com --password-stdin",
			"user create new@example.com --no-password --role nothing", "user update coco-default-user --role nothing",
			"token create --permission wiki#page/nothing", "token create --permission generic#security:user/nothing", "role set reader --permission generic#security:user/nothing",
			"role show nothing", "role delete nothing", "token show nothing", "token update nothing --name x", "token rotate nothing", "token revoke nothing",
			"token show 1f7e5f0c-8d4b-4c1e-9a51-0d6a8f6f2b11", "token create --user nobody@example.com", "token list --user nobody@example.com",
			"token revoke --user nobody@example.com --all", "session revoke --user nobody@example.com --all", "session list --user nobody@example.com",
			"session show nothing", "session revoke nothing", "explain 1f7e5f0c8d4b4c1e9a510d6a8f6f2b11",
			"restore " + absent, "token check " + absent, "user import --htpasswd " + absent, "user import --ndjson " + absent,
			"backup --output " + dir + "/b.tar --recipients-file " + absent, "restore " + empty + " --identity-file " + absent,
			"user list --server http://localhost:1 --token-file " + absent, "user list --server https://localhost:1 --server-ca " + absent,
			"user list --data " + absent, "token list --data " + absent, "audit list --data " + absent, "check --data " + absent, "compact --data " + absent,
			"backup --output - --data " + absent,
		},
	} {
		for _, line := range lines {
			t.Run(line, func(t *testing.T) {
				args := strings.Fields(line)
				if !strings.Contains(line, "--data") {
					args = append(args, "--data", data)
				}
				r := runHere(t, nil, "tin cup on the shelf\n", args...)
				if r.code != code || !strings.HasPrefix(r.errors, "husk: ") {
					t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.errors)
				}
			})
		}
	}
}
