package db_test

import (
	"context"
	"path/filepath"
	"testing"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest/large"
)

func TestWordOfVeryMany(t *testing.T) {
	const tokens = db.MaxWindow + 500
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "husk.db")
	must(t, bolt.Create(path, db.Init))
	must(t, bolt.Fill(path, func(tx db.Tx) error { return db.Fill(tx, large.Filling(tokens)) }))
	store := large.Open(t, path)
	next := tokens - 1
	for q := (db.ListQuery{Query: "dep", Size: db.MaxPageSize}); next >= 0; {
		page, err := store.Tokens(ctx, q)
		must(t, err)
		if page.Total != db.MaxWindow || !page.AtMost || len(page.Items) == 0 {
			t.Fatalf("%d tokens of %d, at most %v", len(page.Items), page.Total, page.AtMost)
		}
		for _, k := range page.Items {
			if k.ID != large.TokenID(next) {
				t.Fatalf("token %s where number %d is expected", k.ID, next)
			}
			next--
		}
		if q.After = page.After; q.After == "" {
			break
		}
		if next == tokens-1-db.MaxPageSize {
			from, err := store.Tokens(ctx, db.ListQuery{Query: "dep", From: db.MaxPageSize, Size: 3})
			must(t, err)
			if from.Items[0].ID != large.TokenID(next) {
				t.Errorf("from %d on: %s", db.MaxPageSize, from.Items[0].ID)
			}
		}
	}
	// Two words: the many do not hide the few.
	page, err := store.Tokens(ctx, db.ListQuery{Query: "dep 0000042", Size: 10})
	must(t, err)
	if page.Total != 1 || page.AtMost || page.Items[0].ID != large.TokenID(42) {
		t.Errorf("%+v", page)
	}
	audit, err := store.Audit(ctx, db.AuditQuery{Action: "token.create", From: 3, Size: 2})
	must(t, err)
	if audit.Total != db.MaxWindow || !audit.AtMost || audit.Items[1].Target != large.TokenID(tokens-5) {
		t.Errorf("%+v", audit)
	}
	if audit, err = store.Audit(ctx, db.AuditQuery{Actor: large.UserID(0), Size: 2}); err != nil || audit.Total != large.TokensOfUser || audit.AtMost {
		t.Errorf("%+v, %v", audit, err)
	}
}
