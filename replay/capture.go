package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Capture is a folder of captured data.
type Capture struct {
	// Name is the folder's name.
	Name string
	FS   fs.FS
}

// OpenDir opens a capture folder of the file system.
func OpenDir(path string) (Capture, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Capture{}, err
	}
	if !info.IsDir() {
		return Capture{}, fmt.Errorf("replay: %s is not a folder", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return Capture{}, err
	}
	return Capture{Name: filepath.Base(abs), FS: os.DirFS(path)}, nil
}

// Meta is what a capture's meta.json says about where it comes from.
type Meta struct {
	Kernel      string
	Machine     string
	Description string
	Workload    string
	CPUs        int
	Memory      string
	// CommandLine is the kernel's.
	CommandLine string
	// ProbeMisses is how often a kprobe was not recorded, as another was being
	// handled.
	ProbeMisses int
}

// Meta reads meta.json. A capture without one has an empty Meta.
func (c Capture) Meta() (Meta, error) {
	text, err := fs.ReadFile(c.FS, "meta.json")
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{}, nil
	}
	if err != nil {
		return Meta{}, err
	}
	var raw struct {
		Kernel        string `json:"kernel"`
		KernelRelease string `json:"kernel_release"`
		Machine       string `json:"machine"`
		Description   string `json:"description"`
		Workload      string `json:"workload"`
		CPUs          int    `json:"cpus"`
		CPUsOnline    int    `json:"cpus_online"`
		Memory        string `json:"memory"`
		RAM           string `json:"ram"`
		CommandLine   string `json:"cmdline"`
		// Not every capture has a number here.
		ProbeMisses json.RawMessage `json:"kprobe_misses"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return Meta{}, fmt.Errorf("replay: %s/meta.json: %w", c.Name, err)
	}
	misses, _ := strconv.Atoi(string(raw.ProbeMisses))
	return Meta{
		Kernel: first(raw.Kernel, raw.KernelRelease), Machine: raw.Machine, Description: raw.Description,
		Workload: raw.Workload, CPUs: max(raw.CPUs, raw.CPUsOnline), Memory: first(raw.Memory, raw.RAM),
		CommandLine: raw.CommandLine, ProbeMisses: max(misses, 0),
	}, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// compressions are the endings under which a file may be stored.
var compressions = []string{"", ".zst", ".gz"}

// Has says whether the capture has a file, compressed or not.
func (c Capture) Has(name string) bool {
	for _, ext := range compressions {
		if _, err := fs.Stat(c.FS, name+ext); err == nil {
			return true
		}
	}
	return false
}

// Open opens a file that may be stored with zstd or gzip; zstd is undone here,
// gzip by the readers of package trace, by content. It returns the name found.
func (c Capture) Open(name string) (io.ReadCloser, string, error) {
	for _, ext := range compressions {
		f, err := c.FS.Open(name + ext)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		r, err := undoZstd(f)
		return r, c.Name + "/" + name + ext, err
	}
	return nil, "", fmt.Errorf("replay: %s: no file %s (plain, .gz or .zst)", c.Name, name)
}

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// maxWindow bounds the memory that a zstd file may ask for.
const maxWindow = 128 << 20

func undoZstd(f fs.File) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(f, 1<<16)
	if head, _ := br.Peek(4); !bytes.Equal(head, zstdMagic) {
		return readCloser{br, f.Close}, nil
	}
	z, err := zstd.NewReader(br, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
	if err != nil {
		f.Close()
		return nil, err
	}
	return readCloser{z, func() error { z.Close(); return f.Close() }}, nil
}

type readCloser struct {
	io.Reader
	close func() error
}

func (r readCloser) Close() error { return r.close() }

// text reads a small file whole; it is "" if there is none.
func (c Capture) text(name string) string {
	r, _, err := c.Open(name)
	if err != nil {
		return ""
	}
	defer r.Close()
	var b strings.Builder
	_, _ = io.Copy(&b, io.LimitReader(r, 1<<20))
	return b.String()
}
