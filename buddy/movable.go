package buddy

import (
	"fmt"
	"strconv"
	"strings"
)

// CoreSize is an amount of memory on the kernel's command line: bytes, or a
// percentage of all memory. The zero value is "not given".
type CoreSize struct {
	Bytes   uint64
	Percent int
}

// ParseCoreSize reads the value of kernelcore= or movablecore=: a number with an
// optional suffix K, M, G, T, P or E, or a percentage as in "40%".
func ParseCoreSize(s string) (CoreSize, error) {
	if digits, ok := strings.CutSuffix(s, "%"); ok {
		percent, err := strconv.ParseUint(digits, 0, 7)
		if err != nil || percent > 100 {
			return CoreSize{}, &ConfigError{Field: "core size", Found: strconv.Quote(s), Expected: "0% to 100%"}
		}
		return CoreSize{Percent: int(percent)}, nil
	}
	bytes, err := parseMemSize(s)
	return CoreSize{Bytes: bytes}, err
}

// parseMemSize reads a number with a suffix, like the kernel's memparse but
// without garbage behind it.
func parseMemSize(s string) (uint64, error) {
	digits, shift := s, 0
	if n := len(s); n > 0 {
		if i := strings.IndexByte("KMGTPE", s[n-1]&^0x20); i >= 0 && !strings.HasPrefix(s, "0x") {
			digits, shift = s[:n-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 0, 64)
	if err != nil || n<<shift>>shift != n {
		return 0, &ConfigError{Field: "memory size", Found: strconv.Quote(s), Expected: "a number with K, M, G, T, P or E"}
	}
	return n << shift, nil
}

// String gives what [ParseCoreSize] reads.
func (c CoreSize) String() string {
	if c.Percent != 0 {
		return fmt.Sprintf("%d%%", c.Percent)
	}
	return strconv.FormatUint(c.Bytes, 10)
}

func (c CoreSize) validate(f *faults, field string) {
	f.want(c.Percent >= 0 && c.Percent <= 100, field+".Percent", c.Percent, "0 to 100")
	f.want(c.Percent == 0 || c.Bytes == 0, field, c, "bytes or a percentage, not both")
}

// pages is the size in pages of a machine that has so many.
func (c CoreSize) pages(total uint64, pageShift int) uint64 {
	if c.Percent != 0 {
		return total * 100 * uint64(c.Percent) / 10000
	}
	return c.Bytes >> pageShift
}

// movableStarts is where ZONE_MOVABLE begins on each node: the kernel's
// zone_movable_pfn. 0 is a node without it.
type movableStarts []PFN

// planMovable decides where ZONE_MOVABLE begins on each node, the kernel's
// find_zone_movable_pfns_for_nodes. lowest is the first page frame that can be
// movable: where the highest other zone begins.
func (m *Machine) planMovable(mem []pfnRange, lowest PFN) movableStarts {
	starts := make(movableStarts, nodeCount(mem))
	switch required := m.requiredKernelCore(totalPages(mem)); {
	case m.MovableNode:
		starts.atHotpluggable(mem)
	case required == 0 || required >= totalPages(mem):
		return starts
	default:
		starts.spreadKernelCore(mem, lowest, required)
	}
	starts.align(mem, m.maxOrder()-1)
	return starts
}

// requiredKernelCore is how many pages must stay out of ZONE_MOVABLE; 0 if
// nothing was asked for. movablecore= is rounded up to whole largest blocks.
func (m *Machine) requiredKernelCore(total uint64) uint64 {
	kernel := m.KernelCore.pages(total, m.pageShift())
	movable := m.MovableCore.pages(total, m.pageShift())
	if movable == 0 {
		return kernel
	}
	movable = min(alignUp(movable, 1<<(m.maxOrder()-1)), total)
	return max(kernel, total-movable)
}

// atHotpluggable begins ZONE_MOVABLE at each node's first hotpluggable memory.
func (s movableStarts) atHotpluggable(mem []pfnRange) {
	for _, r := range mem {
		if r.hotpluggable && (s[r.node] == 0 || r.start < s[r.node]) {
			s[r.node] = r.start
		}
	}
}

// spreadKernelCore walks all nodes and leaves each an equal part of the
// required pages; what small nodes cannot hold is spread over the others in
// another round with one node less.
func (s movableStarts) spreadKernelCore(mem []pfnRange, lowest PFN, required uint64) {
	nodes := memoryNodes(mem)
	for usable := uint64(len(nodes)); usable > 0; usable-- {
		share := required / usable
		for _, node := range nodes {
			if required < share {
				share = required / usable
			}
			required -= s.fillNode(mem, node, lowest, share, required)
		}
		if required <= usable-1 {
			return
		}
	}
}

// fillNode moves a node's start of ZONE_MOVABLE up by share pages of memory.
// Memory below lowest is kernel memory anyway and counts first. It returns by
// how much the required pages become less.
func (s movableStarts) fillNode(mem []pfnRange, node NodeID, lowest PFN, share, required uint64) (done uint64) {
	take := func(pages uint64) {
		done += min(pages, required-done)
		share -= min(pages, share)
	}
	for _, r := range mem {
		start := max(r.start, s[node])
		if r.node != node || start >= r.end {
			continue
		}
		if start < lowest {
			take(uint64(min(r.end, lowest) - start))
			if r.end <= lowest {
				s[node] = r.end
				continue
			}
			start = lowest
		}
		pages := min(uint64(r.end-start), share)
		s[node] = start + PFN(pages)
		take(pages)
		if share == 0 {
			return done
		}
	}
	return done
}

// align begins ZONE_MOVABLE at a largest block, and drops it where that is
// behind the node's end.
func (s movableStarts) align(mem []pfnRange, order Order) {
	for node := range s {
		s[node] = PFN(alignUp(uint64(s[node]), 1<<order))
		if _, end := nodeSpan(mem, NodeID(node)); s[node] >= end {
			s[node] = 0
		}
	}
}

// alignUp rounds up to a multiple of a power of two.
func alignUp(x, align uint64) uint64 { return (x + align - 1) &^ (align - 1) }
