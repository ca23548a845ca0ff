// Package probe tries the known tricks against a protected application, as who has
// no right to it would.
//
// The flow: Run asks the one URL that it was given, by requests written by hand, since
// what most of the tricks are made of a client of net/http would mend or refuse. Each
// trick is a line of a table: requests that are sent without a credential, of which
// none may reach the application, and others that are sent with a good one, where
// what reached the application must be Husk's and not the sender's. What reached it can be told
// only where the application is Echo, which answers with what it was asked; of any other
// the status alone is known. A trick that did not hold comes with the lines to add,
// for the proxy that the answers are of.
//
// It is made to be harmless: it asks nobody but the URL, follows no redirect, sends a
// credential with GET alone, and leaves no byte behind on a connection that a proxy
// shares between clients. What it does is bounded in number, in bytes and in time.
package probe
