//go:build !linux

package fsys

func placeWithoutLinks(temp, path string, cause error) error { return placeLocked(temp, path, cause) }
