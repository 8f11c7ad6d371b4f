// Package captures holds what real Linux kernels did: traces with the
// allocators' lists before and after, embedded in the program.
//
// A capture is a folder that has a meta.json, which says which kernel,
// machine and workload it comes from. Those under data/ are embedded, files
// and all; of those under extra/ only meta.json and limits.json are, to list
// them: their data lies in the repository. README.md has the provenance of
// each and the formats of the files.
//
//	for _, info := range captures.List() {
//		fmt.Println(info.Name, info.Kernel, info.Machine)
//	}
//	fsys, err := captures.Open("x86_64-6.1-user-1cpu")
//
// The package imports only the standard library: to replay a capture, give its
// name and file system to replay.Capture.
package captures

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed all:data extra/*/meta.json extra/*/limits.json
var embedded embed.FS

// Info is where a capture comes from: what its meta.json says.
type Info struct {
	// Name is the capture's folder below data/ or extra/.
	Name string `json:"name"`
	// Embedded says whether the program holds the data; if not, it lies in
	// the repository's folder Path.
	Embedded bool   `json:"embedded"`
	Path     string `json:"path"`
	// Kernel is the release; Machine says what it ran on and whether that was
	// hardware or emulated.
	Kernel  string `json:"kernel"`
	Machine string `json:"machine"`
	CPUs    int    `json:"cpus"`
	Memory  string `json:"memory"`
	// Workload is the commands that ran between the snapshots; Description
	// tells the same in a sentence, where there is one.
	Workload    string `json:"workload"`
	Description string `json:"description,omitempty"`
	// Bytes is the size of the files as stored; 0 if they are not embedded.
	Bytes int64 `json:"bytes"`
	// Limits are the known limits of what a model can reach here.
	Limits []Limit `json:"limits,omitempty"`
}

// Limit says that a model is known not to be equal to the kernel on a capture,
// how far it comes, and why. A capture without a limit for a model is exact.
type Limit struct {
	// Model is the replay's model, "pages".
	Model string `json:"model"`
	// Share, Events and Lists are the parts of the requests, zone-level events
	// and lists, 0 to 1, that the model reaches at least.
	Share  float64 `json:"share"`
	Events float64 `json:"events"`
	Lists  float64 `json:"lists"`
	// Why says what information is missing, or what is not understood.
	Why string `json:"why"`
}

// roots are the two folders, embedded first.
var roots = []string{"data", "extra"}

// List gives all captures, the embedded ones first, each part by name.
func List() []Info {
	var out []Info
	for _, root := range roots {
		for _, name := range folders(root) {
			out = append(out, info(root, name))
		}
	}
	return out
}

// folders finds the folders below root that have a meta.json, sorted.
func folders(root string) []string {
	var out []string
	// The embedded file system cannot fail to be walked.
	_ = fs.WalkDir(embedded, root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "meta.json" {
			out = append(out, strings.TrimPrefix(path.Dir(p), root+"/"))
		}
		return err
	})
	slices.Sort(out)
	return out
}

// info reads what is known about a capture. Its files are part of the program;
// TestList proves that they can be read.
func info(root, name string) Info {
	dir := path.Join(root, name)
	out := Info{Name: name, Embedded: root == roots[0], Path: "captures/" + dir}
	var meta struct {
		Kernel        string `json:"kernel"`
		KernelRelease string `json:"kernel_release"`
		Machine       string `json:"machine"`
		CPUs          int    `json:"cpus"`
		CPUsOnline    int    `json:"cpus_online"`
		Memory        string `json:"memory"`
		MemoryLimit   string `json:"memory_limit"`
		RAM           string `json:"ram"`
		BoardBytes    int64  `json:"ram_bytes_board"`
		Workload      string `json:"workload"`
		Description   string `json:"description"`
	}
	if text, err := fs.ReadFile(embedded, path.Join(dir, "meta.json")); err == nil {
		_ = json.Unmarshal(text, &meta)
	}
	out.Kernel = firstOf(meta.Kernel, meta.KernelRelease)
	out.Machine, out.CPUs = meta.Machine, max(meta.CPUs, meta.CPUsOnline)
	out.Memory = firstOf(meta.Memory, meta.MemoryLimit, meta.RAM)
	if out.Memory == "" && meta.BoardBytes > 0 {
		out.Memory = fmt.Sprintf("%d MiB", meta.BoardBytes>>20)
	}
	out.Workload, out.Description = meta.Workload, meta.Description
	if sub, err := fs.Sub(embedded, dir); err == nil {
		out.Limits, _ = Limits(sub)
		if out.Embedded {
			out.Bytes = size(sub)
		}
	}
	return out
}

// size adds up the files of a folder, in bytes.
func size(fsys fs.FS) int64 {
	var n int64
	_ = fs.WalkDir(fsys, ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if fi, err := d.Info(); err == nil {
				n += fi.Size()
			}
		}
		return err
	})
	return n
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// ErrNotEmbedded says that no embedded capture has a name.
var ErrNotEmbedded = errors.New("no such embedded capture")

// Open gives the files of an embedded capture. The error wraps
// [ErrNotEmbedded].
func Open(name string) (fs.FS, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("captures: %q: %w", name, ErrNotEmbedded)
	}
	dir := path.Join(roots[0], name)
	if _, err := fs.Stat(embedded, path.Join(dir, "meta.json")); err != nil {
		return nil, fmt.Errorf("captures: %q: %w", name, ErrNotEmbedded)
	}
	return fs.Sub(embedded, dir)
}

// maxLimits bounds the size of a limits.json, in bytes.
const maxLimits = 1 << 16

// Limits reads a capture folder's limits.json. A folder without one has none:
// its models are to be exact.
func Limits(fsys fs.FS) ([]Limit, error) {
	fi, err := fs.Stat(fsys, "limits.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxLimits {
		return nil, fmt.Errorf("captures: limits.json: found %d bytes, want at most %d", fi.Size(), maxLimits)
	}
	text, err := fs.ReadFile(fsys, "limits.json")
	if err != nil {
		return nil, err
	}
	var out []Limit
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("captures: limits.json: %w", err)
	}
	return out, nil
}
