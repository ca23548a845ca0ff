// Command image writes the image of a release as a layout of the Open Container
// Initiative, for one or more architectures, with the manifest that `docker load`
// reads beside it. Of the same files and the same SOURCE_DATE_EPOCH it writes the
// same bytes; what it takes for granted stands in dist/container/Dockerfile, too,
// and a test holds one to the other.
//
//	image LAYOUT ROOT…
//
// A ROOT has what becomes / of one architecture: /husk, which tells the architecture
// by itself, and licences.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user owns /data and /backups, and is who Husk runs as: the number that images
// have for nobody in particular.
const user = 65532

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// release is what the environment says of it.
type release struct {
	number, commit string
	date           time.Time
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("it wants LAYOUT and ROOT…")
	}
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	r := release{number: os.Getenv("NUMBER"), commit: os.Getenv("commit"), date: time.Unix(seconds, 0).UTC()}
	if r.number == "" || r.commit == "" {
		return errors.New("NUMBER and commit are to be in the environment")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var dockers []docker
	for _, root := range args[1:] {
		image, platform, err := r.image(root)
		if err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
		d, err := r.docker(image, platform)
		if err != nil {
			return err
		}
		dockers = append(dockers, d)
	}
	index = mutate.Annotations(index, r.words()).(v1.ImageIndex)
	path, err := layout.Write(args[0], empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(r.name())); err != nil {
		return err
	}
	manifest, err := json.Marshal(dockers)
	if err != nil {
		return err
	}
	return path.WriteFile("manifest.json", manifest, 0o644)
}

// words tell what the image is: as labels, which engines show, and as annotations,
// which registries do.
func (r release) words() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "husk",
		"org.opencontainers.image.description": "Who is asking, and may they? Users, sessions, API tokens and forward auth.",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     r.number,
		"org.opencontainers.image.revision":    r.commit,
		"org.opencontainers.image.created":     r.date.Format(time.RFC3339),
	}
}

// name is what the image is called by who loads the whole index. Without a registry
// before it it is for each engine to say where it belongs.
func (r release) name() map[string]string {
	return map[string]string{
		"org.opencontainers.image.ref.name": "localhost/husk:" + r.number,
		"io.containerd.image.name":          "localhost/husk:" + r.number,
	}
}

// image makes that of one architecture.
func (r release) image(root string) (v1.Image, *v1.Platform, error) {
	built, err := buildinfo.ReadFile(filepath.Join(root, "husk"))
	if err != nil {
		return nil, nil, err
	}
	platform := &v1.Platform{}
	for _, s := range built.Settings {
		switch s.Key {
		case "GOOS":
			platform.OS = s.Value
		case "GOARCH":
			platform.Architecture = s.Value
		}
	}
	if platform.OS != "linux" {
		return nil, nil, fmt.Errorf("husk is for %s: images are for Linux", platform)
	}
	content, err := r.layer(root)
	if err != nil {
		return nil, nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching)
	if err != nil {
		return nil, nil, err
	}
	config := &v1.ConfigFile{
		Architecture: platform.Architecture, OS: platform.OS, Created: v1.Time{Time: r.date},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:         fmt.Sprintf("%d:%d", user, user),
			Env:          []string{"HUSK_DATA=/data/husk", "HUSK_ADDR=:9000"},
			ExposedPorts: map[string]struct{}{"9000/tcp": {}},
			// Not of the OCI's form, which has none: Docker reads it all the same, others
			// ignore it.
			Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/husk", "health"}, Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: 30 * time.Second},
			Entrypoint:  []string{"/husk"}, Cmd: []string{"serve"},
			Labels: r.words(),
		},
	}
	image, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), config)
	if err != nil {
		return nil, nil, err
	}
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{Created: config.Created, CreatedBy: "dist/release v" + r.number}})
	if err != nil {
		return nil, nil, err
	}
	return mutate.Annotations(image, r.words()).(v1.Image), platform, nil
}

// layer is a tar of what is in root, and of the folders that Husk writes to. An
// empty named volume takes over whose these are.
func (r release) layer(root string) ([]byte, error) {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	put := func(h tar.Header) error {
		h.ModTime, h.Format = r.date, tar.FormatUSTAR
		return w.WriteHeader(&h)
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return put(tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if name == "husk" {
			mode = 0o755
		}
		if err := put(tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: mode, Size: int64(len(text))}); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	for _, folder := range []string{"data/", "backups/"} {
		err = errors.Join(err, put(tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755, Uid: user, Gid: user}))
	}
	return content.Bytes(), errors.Join(err, w.Close())
}

// docker is an entry of manifest.json, by which engines load that know no index. An
// entry is for one architecture, and a tag is for one entry.
type docker struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (r release) docker(image v1.Image, platform *v1.Platform) (d docker, err error) {
	config, err := image.ConfigName()
	if err != nil {
		return d, err
	}
	layers, err := image.Layers()
	if err != nil {
		return d, err
	}
	d = docker{Config: blob(config), RepoTags: []string{"localhost/husk:" + r.number + "-" + platform.Architecture}}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return d, err
		}
		d.Layers = append(d.Layers, blob(digest))
	}
	return d, nil
}

// blob is where a layout has what has this digest.
func blob(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }
