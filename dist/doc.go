// Package dist has what ships around the program. Its tests look at a whole release
// from outside, as who downloads one: go test -tags ship ./dist.
package dist
