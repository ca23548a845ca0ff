package db

import (
	"context"
	"time"
)

// Parcel is a record of a noun that tests alone know.
type Parcel struct {
	ID    string    `json:"id"`
	Owner string    `json:"owner"`
	Label string    `json:"label"`
	Made  time.Time `json:"made"`
}

// Parcels are all that such a noun brings.
type Parcels struct {
	collection[Parcel]
	decoded *cache[Parcel]
}

// NewParcels makes the noun: what a file of a noun declares.
func NewParcels() *Parcels {
	p := &Parcels{decoded: newCache(100, func(p *Parcel) string { return p.ID })}
	p.collection = collection[Parcel]{
		bucket: "parcel",
		id:     func(p *Parcel) string { return p.ID },
		unique: func(p *Parcel) []string { return []string{p.Label} },
		index: func(p *Parcel) [][]byte {
			return [][]byte{indexKey(p.Owner, byCreated, timeKey(p.Made), p.ID)}
		},
		count:  func(*Parcel) []string { return []string{"parcel"} },
		owner:  func(p *Parcel) string { return p.Owner },
		used:   "parcel.use",
		memory: func(*Store) memory { return p.decoded },
	}
	return p
}

// Line puts the noun into the store's list.
func (p *Parcels) Line(s *Store) { s.nouns = append(s.nouns, &p.collection) }

// Put writes a parcel in the place of old, which is nil for a new one.
func (p *Parcels) Put(ctx context.Context, s *Store, old, new *Parcel) error {
	return s.update(ctx, &Actor{}, func(t *txn) error { return p.put(t, old, new) })
}

// Get returns a parcel, from memory where it is there.
func (p *Parcels) Get(ctx context.Context, s *Store, id string) (*Parcel, error) {
	return p.decoded.get(id, func() (r *Parcel, err error) {
		err = s.view(ctx, func(t *txn) error { r, err = p.get(t, id); return err })
		return r, err
	})
}

// Repair is db.Repair of a store that has the noun.
func (p *Parcels) Repair(ctx context.Context, tx Tx, walk Walk, aside func(Aside) error) (Repaired, error) {
	s := newStore(nil, Options{})
	p.Line(s)
	return s.repair(ctx, tx, walk, aside)
}

// LookAtOnly has the store be one of an older schema.
func (s *Store) LookAtOnly() { s.older = true }

// Fill has a set read while something else happens: after it was read, and
// before it can be kept.
func (s *Store) Fill(ctx context.Context, set string, meanwhile func()) error {
	read := func(load func(t *txn) error) error {
		err := s.view(ctx, load)
		meanwhile()
		return err
	}
	var err error
	switch set {
	case "roles":
		_, err = s.roles.get(func() (r *RoleSet, err error) {
			return r, read(func(t *txn) error { r, err = t.roleSet(); return err })
		})
	case "keys":
		_, err = s.keys.get(func() (k *KeySet, err error) {
			return k, read(func(t *txn) error { k, err = t.keySet(); return err })
		})
	default:
		_, err = s.users.get(set, func() (u *User, err error) {
			return u, read(func(t *txn) error { u, err = userRecords.get(t, set); return err })
		})
	}
	return err
}
