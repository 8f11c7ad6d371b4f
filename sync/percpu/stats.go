package percpu

import (
	"fmt"
	"slices"
	"strings"
)

// statsText builds /sys/kernel/debug/percpu_stats.
type statsText struct{ strings.Builder }

func (w *statsText) title(s string) {
	fmt.Fprintf(w, "%s\n----------------------------------------\n", s)
}

func (w *statsText) line(name string, n int) { fmt.Fprintf(w, "  %-20s: %12d\n", name, n) }

// StatsText is the text of /sys/kernel/debug/percpu_stats.
func (a *Allocator) StatsText() string {
	w, l, s := &statsText{}, &a.layout, &a.stats
	w.WriteString("Percpu Memory Statistics\n")
	w.title("Allocation Info:")
	w.line("unit_size", l.Unit)
	w.line("static_size", l.Static)
	w.line("reserved_size", l.Reserved)
	w.line("dyn_size", l.Dynamic)
	w.line("atom_size", l.Atom)
	w.line("alloc_size", l.Unit*l.UnitsPerAlloc)
	w.WriteString("\n")
	w.title("Global Stats:")
	w.line("nr_alloc", s.Allocs)
	w.line("nr_dealloc", s.Frees)
	w.line("nr_cur_alloc", s.Current)
	w.line("nr_max_alloc", s.MaxCurrent)
	w.line("nr_chunks", s.Chunks)
	w.line("nr_max_chunks", s.MaxChunks)
	w.line("min_alloc_size", s.SmallestRequest)
	w.line("max_alloc_size", s.LargestSize)
	empty := 0
	for _, c := range a.chunks {
		if c != nil {
			empty += c.emptyPages()
		}
	}
	w.line("empty_pop_pages", empty)
	w.WriteString("\n")
	w.title("Per Chunk Stats:")
	if a.reserved != nil {
		w.WriteString("Chunk: <- Reserved Chunk\n")
		w.chunk(a.reserved)
	}
	for _, list := range a.slots {
		for _, n := range list {
			if n == 0 {
				w.WriteString("Chunk: <- First Chunk\n")
			} else {
				w.WriteString("Chunk:\n")
			}
			w.chunk(a.chunks[n])
		}
	}
	return w.String()
}

// emptyPages counts the pages with memory that are wholly free.
func (c *chunk) emptyPages() int {
	n := 0
	for i := range c.blocks {
		if c.blocks[i].contig == blockGrains && c.populated.has(i) {
			n++
		}
	}
	return n
}

func (w *statsText) chunk(c *chunk) {
	free, sizes := c.areaSizes()
	sum, largest := 0, 0
	for _, f := range free {
		sum += f
		largest = max(largest, f)
	}
	least, median, most := 0, 0, 0
	if len(sizes) > 0 {
		slices.Sort(sizes)
		least, most = sizes[0], sizes[len(sizes)-1]
		// The middle between the first used and the last of all, free ones sorted before.
		median = sizes[(len(free)+len(free)+len(sizes)-1)/2-len(free)]
	}
	w.line("nr_alloc", c.areas)
	w.line("max_alloc_size", c.maxSize)
	w.line("empty_pop_pages", c.emptyPages())
	w.line("first_bit", c.whole.first)
	w.line("free_bytes", c.freeBytes)
	w.line("contig_bytes", c.whole.contig*minAlloc)
	w.line("sum_frag", sum)
	w.line("max_frag", largest)
	w.line("cur_min_alloc", least)
	w.line("cur_med_alloc", median)
	w.line("cur_max_alloc", most)
	w.WriteString("\n")
}

// areaSizes are the sizes in bytes of the free and the used areas up to the end of the
// last used one, without what belongs to others.
func (c *chunk) areaSizes() (free, used []int) {
	end := c.to
	for end > c.from && !c.used.has(end-1) {
		end--
	}
	for at := c.from; at < end; {
		next := 0
		if c.used.has(at) {
			next = c.bound.next(at+1, end, true)
			used = append(used, (next-at)*minAlloc)
		} else {
			next = c.used.next(at+1, end, true)
			free = append(free, (next-at)*minAlloc)
		}
		at = next
	}
	return free, used
}

// WithoutPages is a text of percpu_stats without its lines empty_pop_pages.
func WithoutPages(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "  empty_pop_pages") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// ChunkTexts are the parts about chunks of a text of percpu_stats, without the lines
// empty_pop_pages, and the unit's size in bytes that it tells, 0 if it does not.
func ChunkTexts(text string) (chunks []string, unit int) {
	for line := range strings.Lines(text) {
		if name, n, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "unit_size" {
			_, _ = fmt.Sscan(n, &unit)
		}
	}
	parts := strings.Split(WithoutPages(text), "Chunk:")
	for _, p := range parts[1:] {
		_, body, _ := strings.Cut(p, "\n")
		chunks = append(chunks, body)
	}
	return chunks, unit
}
