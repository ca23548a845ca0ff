package factor

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// NewSealer reads the text of a file with keys: on each line one of 32 bytes in base64
// (RFC 4648, 4), padded or not; lines that are empty or begin with # are passed over.
// An error names the line, and nothing that stands there.
func NewSealer(text []byte) (*Sealer, error) {
	s := &Sealer{}
	seen := map[string]int{} // the line of a key
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, why := readKey(line)
		if why == "" && seen[string(key)] > 0 {
			why = fmt.Sprintf("it is the key of line %d again", seen[string(key)])
		}
		if why != "" {
			return nil, fmt.Errorf("line %d: %s", n+1, why)
		}
		seen[string(key)] = n + 1
		k, err := newSealKey(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		s.keys = append(s.keys, k)
	}
	if len(s.keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return s, nil
}

// readKey tells why a line is no key; why says nothing of what the line holds.
func readKey(line string) (key []byte, why string) {
	key, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(line, "="))
	switch {
	case err != nil:
		return nil, "it is not base64"
	case len(key) != keyBytes:
		return nil, fmt.Sprintf("a key has %d bytes, and this one has %d", keyBytes, len(key))
	case bytes.Equal(key, make([]byte, keyBytes)):
		return nil, "the key is nothing but zeros"
	}
	return key, ""
}
