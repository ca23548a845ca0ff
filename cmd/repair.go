package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/fsys"
	"husk/web/control"
)

// repaired is what --json prints.
type repaired struct {
	OK       bool     `json:"ok"`       // the store is sound now
	Repaired bool     `json:"repaired"` // and was not before
	Records  int      `json:"records"`  // taken over
	Derived  int      `json:"derived"`  // entries of indexes, and counters, that were wrong or missing
	Aside    int      `json:"aside"`    // records that were set aside
	Problems []string `json:"problems"`
	Lost     []string `json:"lost"`
	Made     []string `json:"made"`             // anew, since no store can be without it
	Before   string   `json:"before,omitempty"` // the file as it was
	Damaged  string   `json:"damaged,omitempty"`
}

// repair makes a sound store beside the damaged one, proves it, and puts it in
// its place. Killed at any moment, the old or the new one is whole.
func (a *app) repair(ctx context.Context) error {
	if a.settings.Server != "" {
		return usage("husk check --repair works on the file itself, not over the network", "run it on the machine of the server, with the server stopped")
	}
	if err := a.refuseServer(ctx); err != nil {
		return err
	}
	if err := a.confirm("Repair the store in " + a.settings.Data + "? As it is it stays as " + filepath.Base(a.beforeRepair()) + "."); err != nil {
		return err
	}
	// The lock of the old file is held until the new one is in its place.
	leave, err := a.enter(false)
	if err != nil {
		return err
	}
	defer leave()
	file, err := embedded.look(a.storeFile(), time.Second)
	if err != nil {
		return a.explainRepair(err)
	}
	defer file.Close()
	if err := file.Unreadable(); err != nil {
		return &failure{code: exitInvalid, err: err, what: a.storePath() + " can't be repaired: " + err.Error(),
			next: "nothing was changed; without its header nothing tells what is in the store and what was given up: restore a backup with 'husk restore'"}
	}
	fresh, err := fsys.CreatePrivate(a.dir(), ".husk-repair-*")
	if err != nil {
		return a.explainRepair(err)
	}
	defer fresh.Close()
	defer os.Remove(fresh.Name()) // gone after the rename
	job := &repairJob{app: a, file: file, fresh: fresh}
	r, err := job.run(ctx)
	if err != nil {
		return a.explainRepair(err)
	}
	return a.tellRepaired(r)
}

// What a repair keeps stands beside the store, and is called like it.
const (
	beforeSuffix  = ".before-repair"
	damagedSuffix = ".damaged.ndjson"
)

func (a *app) beforeRepair() string { return a.storePath() + beforeSuffix }

// refuseServer ends with what a command says beside a server, before a person
// is asked.
func (a *app) refuseServer(ctx context.Context) error {
	d := &door{app: a}
	c, err := d.dialSocket(ctx)
	switch {
	case err == nil:
		c.Close()
		return a.explainRepair(db.ErrLocked)
	case errors.Is(err, control.ErrNoServer):
		return nil
	}
	return err
}

func (a *app) explainRepair(err error) error {
	var own *failure
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, db.ErrLocked):
		return &failure{code: exitBusy, err: err, what: a.storePath() + " is in use" + a.holderText(),
			next: "stop the server first: a repair replaces the file under it"}
	case errors.Is(err, db.ErrDamaged):
		return &failure{code: exitInvalid, err: err, what: a.storePath() + " can't be repaired: " + err.Error(),
			next: "nothing was changed; restore a backup with 'husk restore'"}
	}
	return a.explainStore(err)
}

// repairJob is one repair under way.
type repairJob struct {
	*app
	file  damagedFile
	fresh *os.File     // the new store
	aside bytes.Buffer // lines of what is set aside: what is damaged is little, or a backup is what helps
}

// maxAside bounds what is set aside, in bytes.
const maxAside = 256 << 20

func (j *repairJob) run(ctx context.Context) (r repaired, err error) {
	p := j.progress("repairing", 0, countText)
	defer p.end()
	var done db.Repaired
	err = embedded.fill(j.fresh.Name(), func(tx db.Tx) error {
		walk := func(record func(bucket string, key, sealed []byte), report func(error)) error {
			return j.file.Walk(ctx, func(bucket string, key, sealed []byte) { p.add(1); record(bucket, key, sealed) }, report)
		}
		var err error
		done, err = db.Repair(ctx, tx, walk, j.setAside)
		return err
	})
	if err != nil {
		return r, err
	}
	r = repaired{OK: true, Repaired: !done.Sound(), Records: done.Records, Derived: done.Derived, Aside: done.Aside,
		Problems: append([]string{}, done.Problems...), Lost: append([]string{}, done.Lost...), Made: append([]string{}, done.Made...)}
	if !r.Repaired {
		return r, nil
	}
	if err := j.prove(ctx); err != nil {
		return r, err
	}
	r.Before = j.beforeRepair()
	if r.Aside > 0 {
		r.Damaged = j.storePath() + damagedSuffix
		if err := j.keepAside(j.storeFile() + damagedSuffix); err != nil {
			return r, err
		}
	}
	return r, archive.SwapIn(j.fresh, j.storeFile(), j.storeFile()+beforeSuffix, j.file.Close)
}

func (j *repairJob) setAside(a db.Aside) error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if j.aside.Len()+len(line) > maxAside {
		return &failure{code: exitInvalid, what: "more is damaged than can be set aside; nothing was changed", next: "restore a backup with 'husk restore'"}
	}
	j.aside.Write(append(line, '\n'))
	return nil
}

// prove reads all of the new store.
func (j *repairJob) prove(ctx context.Context) error {
	_, err := archive.Prove(ctx, j.fresh.Name(), openCopy, true)
	var damaged *archive.DamagedError
	if errors.As(err, &damaged) {
		return &failure{code: exitInvalid, err: err, what: fmt.Sprintf("what could be read makes no sound store; nothing was changed: in %d place(s): %v", damaged.Places, damaged.First),
			next: "restore a backup with 'husk restore'"}
	}
	return err
}

// keepAside adds what is set aside to that of earlier repairs.
func (j *repairJob) keepAside(path string) error {
	f, err := fsys.CreatePrivate(j.dir(), ".husk-repair-*")
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(f.Name()) // gone after the rename
	earlier, err := openOwn(path)
	if err == nil {
		_, err = io.Copy(f, earlier)
		earlier.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := f.Write(j.aside.Bytes()); err != nil {
		return err
	}
	return archive.SwapIn(f, path, "", nil)
}

// openOwn opens a file that husk made in the data folder. That may be the folder
// of a user who is less than who runs this: what they lead elsewhere, by a link,
// is not read, or they would be given it.
func openOwn(path string) (*os.File, error) {
	f, err := fsys.OpenPlain(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && links(f, info) == 1 {
			return f, nil
		}
		f.Close()
	}
	return nil, &failure{code: exitFailure, err: err, what: path + " is not a file that husk made there", next: "nothing was changed; move it away"}
}

func (a *app) tellRepaired(r repaired) error {
	if a.settings.JSON {
		return a.printJSON(r)
	}
	for _, list := range []struct {
		title string
		lines []string
	}{{"found", r.Problems}, {"lost", r.Lost}, {"made anew", r.Made}} {
		for _, line := range list.lines {
			fmt.Fprintf(a.stdout, "%s: %s\n", list.title, printable(line))
		}
	}
	err := a.pairs("taken over", fmt.Sprint(r.Records), "set aside", fmt.Sprint(r.Aside), "entries mended", fmt.Sprint(r.Derived), "sound", yesNo(r.OK))
	switch {
	case !r.Repaired:
		a.say("The store is sound; there is nothing to repair.")
	case r.Damaged != "":
		a.say("The store is repaired. As it was it stays in %s; what was set aside is in %s: both hold secrets.", r.Before, r.Damaged)
	default:
		a.say("The store is repaired. As it was it stays in %s.", r.Before)
	}
	return err
}
