package db

// toSchema4 changes nothing but the number, which keeps husk 0.1.0 out. Since then
// a token may be good behind the gate alone, for some hosts, paths and methods, and
// a session has passes through it. 0.1.0 passes over what it does not know: it would
// take such a token at the API with all that its owner may, and write tokens and
// sessions back without any of it.
func toSchema4(*txn) error { return nil }
