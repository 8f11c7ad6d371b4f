package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/sync/percpu"
)

// percpuStats is the file that tells a unit's size and the chunks' state at the end of
// the trace of the same folder.
const percpuStats = "percpu_stats.txt"

// percpuFiles are the files of a folder that hold traces of percpu:* events.
func percpuFiles(c Capture) []string {
	entries, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := stored(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "trace") || !strings.HasSuffix(name, ".txt") {
			continue
		}
		if bytes.Contains(c.head(name, 1<<16), []byte(": percpu_alloc_percpu: ")) {
			out = append(out, name)
		}
	}
	return out
}

func hasPerCPU(c Capture) bool {
	return len(percpuFiles(c)) > 0 && len(c.head(percpuStats, 16)) > 0
}

// PerCPU replays the kernel's allocations of per-CPU variables: which chunk, and where
// in it. Chunks are known from the moment that the trace creates them. At the end of
// "trace.txt" their figures have to be those of percpu_stats, line by line.
func PerCPU(_ context.Context, c Capture, _ Options) (*Result, error) {
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	res := &Result{Capture: c.Name, Kernel: meta.Kernel, Machine: meta.Machine, Model: "percpu"}
	r, err := c.plain(percpuStats)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	r.Close()
	if err != nil {
		return nil, err
	}
	want, unit := percpu.ChunkTexts(string(text))
	for _, name := range percpuFiles(c) {
		t, err := trackPerCPU(c, name, unit)
		if err != nil {
			return nil, err
		}
		res.Requests += t.Placed
		res.Exact += t.Same
		if t.Reordered > 0 {
			res.hintN("an area taken before a free that is printed before it", t.Reordered)
		}
		if t.Worker > 0 {
			res.hintN("whether the worker had taken a chunk's pages back", t.Worker)
		}
		addCount(&res.Notes, "events about chunks that are older than the trace", t.Unknown)
		if t.First != "" {
			res.differ(0, name+" "+t.First)
		}
		if name == "trace.txt" {
			comparePerCPU(res, t, want)
		}
	}
	return res, nil
}

func trackPerCPU(c Capture, name string, unit int) (*percpu.Tracker, error) {
	t, err := percpu.NewTracker(unit)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", c.Name, percpuStats, err)
	}
	r, err := c.plain(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := percpu.ReadTrace(c.Name+"/"+name, r, t.Event); err != nil {
		return nil, err
	}
	if err := t.Flush(); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", c.Name, name, err)
	}
	return t, t.Check()
}

// comparePerCPU compares the known chunks' figures with the kernel's list, which has
// older ones, too.
func comparePerCPU(res *Result, t *percpu.Tracker, want []string) {
	for i, text := range t.ChunkTexts() {
		res.Lists++
		if slices.Contains(want, text) {
			res.ListsIdentical++
			continue
		}
		res.differ(0, fmt.Sprintf("%s: chunk %d of %d is not in the kernel's list:\n%s", percpuStats, i+1, len(want), text))
	}
}
