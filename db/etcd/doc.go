// Package etcd is the engine for more than one machine: a store in an etcd cluster,
// which any number of processes have at once. It implements db.Engine, db.Feeder,
// db.Bounder, db.Checker, db.Elector and db.Freshener.
//
// # Form
//
// The record of a key of a bucket is the key PREFIX/BUCKET/KEY. What begins with
// PREFIX/_ is the engine's own:
//
//	_head      the head: changed by each commit, in the transaction that makes it
//	_redo      what a large commit is yet to write; absent nearly always
//	_leader    who leads, under its lease
//	_note/     notes, which the processes share beside the records, under leases
//	_unfinished, _loading    a store that is being filled, and by whom; it has no head yet
//
// # Commits
//
// All that is written, is written under the condition that the head is the one that
// was read: so whatever was read, ranges and what they did not have included, is still
// so, and two processes that write at once can't both succeed. One of them always
// does; the other one runs again, and where that goes on, it asks for its turn, in which
// nobody else commits (turn.go). A head for each user would let more of them pass at
// once, but each change has an audit entry that names the one before, so they would
// meet there. Updates of one process that come while a commit is under way share the
// next one.
//
// etcd takes 128 operations in a transaction. A commit of more writes all of it to
// _redo, in the transaction that changes the head: then it is made. Then it is carried
// out, by this process or by the next one that writes, in steps which are harmless
// when they are done again; who reads before the end reads _redo with the rest.
//
// # What is not known
//
// An answer can be lost. The head has the names of the last commits, so another look
// at it tells what became of one: there, or not there and never to be, once the head
// is another one. As long as it is the same, the commit is sent again, which can't make
// it twice. Only where nobody answers until patience is at its end, its outcome stays
// unknown.
package etcd
