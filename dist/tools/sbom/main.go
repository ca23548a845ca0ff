// Command sbom writes the bill of materials of a program in CycloneDX's JSON, by the
// library of cyclonedx-gomod: its modules with the sums that go.sum has and their
// licences, the standard library, and the program itself with its SHA-256. It fails
// where the program was built of other modules than its source says.
//
//	sbom SOURCE PROGRAM >SBOM
//
// SOURCE has no vendor/ (that has no sums), and is a repository of git whose commit
// has the tag of the version: that is where cyclonedx-gomod looks for it.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/app"
	"github.com/google/licensecheck"
	"github.com/rs/zerolog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("it wants SOURCE and PROGRAM")
	}
	source, program := args[0], args[1]
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	built, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	// The library asks go, which goes by the environment.
	for _, s := range built.Settings {
		if strings.HasPrefix(s.Key, "GO") || s.Key == "CGO_ENABLED" {
			if err := os.Setenv(s.Key, s.Value); err != nil {
				return err
			}
		}
	}
	generator, err := app.NewGenerator(source, app.WithIncludeStdlib(true), app.WithLicenseDetector(licences{}), app.WithLogger(zerolog.Nop()))
	if err != nil {
		return err
	}
	bom, err := generator.Generate()
	if err != nil {
		return err
	}
	if err := agree(bom, built, source); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	if err := describe(bom, program); err != nil {
		return err
	}
	bom.Metadata.Timestamp = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	return cdx.NewBOMEncoder(os.Stdout, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).Encode(bom)
}

// describe adds what tells the program that the bill is of, and what made the bill.
// The library finds licences as evidence only; as read here they are sure enough to
// be said, which is what most readers of a bill look for.
func describe(bom *cdx.BOM, program string) error {
	file, err := os.Open(program)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	hashes := []cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum.Sum(nil))}}
	main := bom.Metadata.Component
	main.Hashes = &hashes
	main.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeDistribution, URL: filepath.Base(program), Hashes: &hashes}}
	for _, c := range append([]*cdx.Component{main}, pointers(*bom.Components)...) {
		if c.Evidence == nil || c.Evidence.Licenses == nil {
			return fmt.Errorf("no licence is known of %s %s", c.Name, c.Version)
		}
		c.Licenses, c.Evidence = c.Evidence.Licenses, nil
	}
	made := cdx.Component{Type: cdx.ComponentTypeApplication, Name: "cyclonedx-gomod"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/CycloneDX/cyclonedx-gomod" {
				made.Version = m.Version
			}
		}
	}
	bom.Metadata.Tools = &cdx.ToolsChoice{Components: &[]cdx.Component{made}}
	return nil
}

func pointers(components []cdx.Component) (all []*cdx.Component) {
	for i := range components {
		all = append(all, &components[i])
	}
	return all
}

// agree compares what the bill has with what is written in the program, and the sums
// with go.sum.
func agree(bom *cdx.BOM, built *debug.BuildInfo, source string) error {
	sums, err := sumsOf(filepath.Join(source, "go.sum"))
	if err != nil {
		return err
	}
	var told, there []string
	for _, c := range *bom.Components {
		told = append(told, c.Name+" "+c.Version)
		if c.Name == "std" {
			continue
		}
		if c.Hashes == nil || (*c.Hashes)[0].Value != sums[c.Name+" "+c.Version] {
			return fmt.Errorf("the sum of %s %s is not that of go.sum", c.Name, c.Version)
		}
	}
	for _, m := range built.Deps {
		if m.Replace != nil {
			return fmt.Errorf("it was built with %s in the place of %s", m.Replace.Path, m.Path)
		}
		there = append(there, m.Path+" "+m.Version)
	}
	there = append(there, "std "+built.GoVersion)
	slices.Sort(told)
	slices.Sort(there)
	if !slices.Equal(told, there) {
		return fmt.Errorf("its source is built of\n%s\nand it was built of\n%s", strings.Join(told, "\n"), strings.Join(there, "\n"))
	}
	return nil
}

// sumsOf reads the sums of modules, by "path version", in hex.
func sumsOf(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 3 || strings.HasSuffix(words[1], "/go.mod") {
			continue
		}
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(words[2], "h1:"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		sums[words[0]+" "+words[1]] = hex.EncodeToString(sum)
	}
	return sums, nil
}

// licences reads those of a module, as pkg.go.dev does. The detector of the library
// takes the BSD licence of Go's own modules for another one.
type licences struct{}

// licenceFile is how a file with one is called.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([.-].*)?$`)

func (licences) Detect(path, version, dir string) (found []cdx.License, err error) {
	if path == "std" {
		// Some distributions of Go have its licence elsewhere, and the bill would be
		// another one there.
		return []cdx.License{{ID: "BSD-3-Clause"}}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		if !licenceFile.MatchString(entry.Name()) || entry.Type()&fs.ModeType != 0 {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		for _, m := range licensecheck.Scan(text).Match {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s@%s: its licence can't be told from its files: look at it, and have this program know it", path, version)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		found = append(found, cdx.License{ID: id})
	}
	return found, nil
}
