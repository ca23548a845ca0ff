package large_test

import (
	"context"
	"path/filepath"
	"testing"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest/large"
	"husk/web/token"
)

func TestLargeStoreFits(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := bolt.Create(path, db.Init); err != nil {
		t.Fatal(err)
	}
	const tokens = 2000
	if err := bolt.Fill(path, func(tx db.Tx) error { return db.Fill(tx, large.Filling(tokens)) }); err != nil {
		t.Fatal(err)
	}
	store := large.Open(t, path)
	report := func(err error) { t.Error(err) }
	if _, err := store.Check(ctx, report); err != nil {
		t.Error(err)
	}
	if err := store.Engine().(db.Checker).Check(ctx, report); err != nil {
		t.Error(err)
	}
	counts, err := store.Counts(ctx)
	if err != nil || counts["tokens"] != tokens || counts["users"] != tokens/large.TokensOfUser+1 {
		t.Errorf("Counts = %v, %v", counts, err)
	}
	for i := range tokens {
		id, err := token.Parse(large.Secret(i))
		if err != nil || id != large.TokenID(i) {
			t.Fatalf("Parse of secret %d = %q, %v", i, id, err)
		}
	}
	if _, err := store.UserByEmail(ctx, large.Email(7)); err != nil {
		t.Error(err)
	}
}
