package replay

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/kernsim/kernsim/sync/percpu"
)

// percpuStats is the file that tells a unit's size and the chunks' state at the end of
// the trace of the same folder.
const percpuStats = "percpu_stats.txt"

// percpuFiles are the files of a folder that hold traces of percpu:* events.
func percpuFiles(c Capture) []string {
	return c.filesLike("trace", ".txt", 1<<16, containing(": percpu_alloc_percpu: "))
}

func hasPerCPU(c Capture) bool {
	return len(percpuFiles(c)) > 0 && len(c.head(percpuStats, 16)) > 0
}

// PerCPU replays the kernel's allocations of per-CPU variables: which chunk, and where
// in it. Chunks are known from the moment that the trace creates them. At the end of
// "trace.txt" their figures have to be those of percpu_stats, line by line.
func PerCPU(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "percpu")
	if err != nil {
		return nil, err
	}
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
	return res, eachFile(ctx, c, o, percpuFiles(c), func(f source) error {
		t, err := trackPerCPU(c, f, unit)
		if err != nil {
			return err
		}
		res.Requests += t.Placed
		res.Exact += t.Same
		if t.Reordered > 0 {
			res.hintN("an area taken before a free that is printed before it", t.Reordered)
		}
		if t.Worker > 0 {
			res.hintN("which pages the worker had given memory, or taken it back from", t.Worker)
		}
		addCount(&res.Notes, "events about chunks that are older than the trace", t.Unknown)
		if t.First != "" {
			res.differ(0, f.name+" "+t.First)
		}
		if f.name == "trace.txt" {
			comparePerCPU(res, t, want)
		}
		return nil
	})
}

func trackPerCPU(c Capture, f source, unit int) (*percpu.Tracker, error) {
	t, err := percpu.NewTracker(unit)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", c.Name, percpuStats, err)
	}
	if err := percpu.ReadTrace(f.full, f, t.Event); err != nil {
		return nil, err
	}
	if err := t.Flush(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.full, err)
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
