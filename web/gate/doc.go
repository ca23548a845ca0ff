// Package gate has the access rules of what stands behind Husk, and the one
// decision about a request: may it through, is somebody to sign in, or is it
// refused.
//
// The flow: Parse makes the Rules of a configuration, or tells its faults with their
// lines. One of the Adapters reads from the headers of a proxy's question what the
// client asked for, as a Request; what a proxy can't have meant, or what an
// application may take for something else, it refuses. Who asks is found out by the
// caller, who hands it over as a Who. Decide then finds the first rule that fits,
// and is the one place that allows. What no rule allows is refused.
//
// The package knows no routes and nothing of how credentials are checked.
package gate
