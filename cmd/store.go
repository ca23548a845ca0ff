package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"husk/db"
	"husk/db/bolt"
)

// engine is the one table of the engine in use: all that a command may know of
// one. Another engine is another value of it.
type engine struct {
	file string // name in the data folder
	open func(path string, wait time.Duration) (db.Engine, error)
	// openNamed opens by one path what others find by another.
	openNamed func(path, named string, wait time.Duration) (db.Engine, error)
	create    func(path string, init func(db.Tx) error) error
	holder    func(path string) (pid int, name string, ok bool)
	// lock locks the file, whatever is in it.
	lock func(path string, wait time.Duration) (release func() error, err error)
	// hold takes the lock of a file that is open already, where it begins as a store does.
	hold func(f *os.File) (isStore bool, err error)
	// compact writes a copy without free pages.
	compact func(ctx context.Context, e db.Engine, path string) error
	// look takes the lock of a file that may be too damaged to be opened.
	look func(path string, wait time.Duration) (damagedFile, error)
	// peek reads one record, without the lock: beside whoever has the store.
	peek func(path, bucket string, key []byte) ([]byte, error)
	// yield prepares a store for having another file put in its place.
	yield func(e db.Engine) (release func() error, err error)
	// fill makes a file of what write puts in.
	fill func(path string, write func(db.Tx) error) error
}

// damagedFile is a store's file without its engine.
type damagedFile interface {
	Unreadable() error // why nothing can be read; nil: something can
	Walk(ctx context.Context, record func(bucket string, key, value []byte), report func(error)) error
	Close() error
}

var embedded = engine{
	file: "husk.db",
	open: func(path string, wait time.Duration) (db.Engine, error) {
		return openBolt(path, bolt.Options{Timeout: wait})
	},
	openNamed: func(path, named string, wait time.Duration) (db.Engine, error) {
		return openBolt(path, bolt.Options{Timeout: wait, Named: named})
	},
	create: bolt.Create,
	holder: bolt.Holder,
	lock:   bolt.Lock,
	hold:   bolt.Hold,
	compact: func(ctx context.Context, e db.Engine, path string) error {
		c, ok := e.(db.Compacter)
		if !ok {
			return errors.New("the store is in no file that could be made smaller")
		}
		return c.Compact(ctx, path)
	},
	look: func(path string, wait time.Duration) (damagedFile, error) {
		f, err := bolt.OpenFile(path, wait)
		if err != nil {
			return nil, err
		}
		return f, nil
	},
	peek:  bolt.Peek,
	yield: bolt.Yield,
	fill:  bolt.Fill,
}

func openBolt(path string, o bolt.Options) (db.Engine, error) {
	e, err := bolt.Open(path, o)
	if err != nil {
		return nil, err // not a nil *bolt.Engine in an interface
	}
	return e, nil
}

// openStore opens the store, waiting for its lock at most so long. An absent
// one is made where create says so.
func (a *app) openStore(ctx context.Context, wait time.Duration, create bool) (*db.Store, error) {
	store, err := a.openOrMake(ctx, wait, create)
	if err != nil {
		return nil, a.explainStore(err)
	}
	return store, nil
}

func (a *app) openOrMake(ctx context.Context, wait time.Duration, create bool) (*db.Store, error) {
	if create {
		if err := a.makeStore(); err != nil {
			return nil, err
		}
	}
	e, err := embedded.openNamed(a.storeFile(), a.storePath(), wait)
	if err != nil {
		return nil, err
	}
	options := db.Options{Keep: func(ctx context.Context, schema db.Schema) error { return a.keepSchema(ctx, e, schema) }}
	if a.completing { // a look at it upgrades nothing
		options.Keep = nil
	}
	store, err := db.Open(ctx, e, options)
	if err != nil {
		e.Close()
		return nil, err
	}
	return store, nil
}

// makeStore makes folder and store where they are absent. Of several processes
// at once one makes the store and the others find it.
func (a *app) makeStore() error {
	if err := makeFolder(a.dir()); err != nil {
		return err
	}
	_, err := os.Lstat(a.storeFile())
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // there; what it is, opening it will tell
	}
	err = embedded.create(a.storeFile(), db.Init)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		a.tellMade()
	}
	return err
}

// tellMade says where a store was made that nobody named a folder for: the
// default is another one for each user, and a server may serve that of another.
func (a *app) tellMade() {
	if a.resolved != nil && a.resolved.sourceOf("data") == fromDefault {
		a.say("A new store was made in %s.", a.settings.Data)
	}
}
