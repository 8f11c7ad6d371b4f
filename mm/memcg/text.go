package memcg

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/mm/oom"
)

// share is n * part / of, without overflow; n <= of or part <= of.
func share(n, part, of int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	if hi >= uint64(of) {
		return NoLimit
	}
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(min(q, uint64(NoLimit)))
}

// Events writes memory.events, or with local memory.events.local.
func (t *Tree) Events(g ID, local bool) string {
	counts := &t.groups[g].events
	if local {
		counts = &t.groups[g].local
	}
	var b strings.Builder
	for e, n := range counts {
		fmt.Fprintf(&b, "%s %d\n", eventNames[e], n)
	}
	return b.String()
}

// Stat is a line of memory.stat: bytes, or a count of events.
type Stat struct {
	Name  string
	Value uint64
}

// StatError says what is wrong with a memory.stat text.
type StatError struct {
	Line        int
	Found, Want string
}

func (e *StatError) Error() string {
	return fmt.Sprintf("memcg: memory.stat:%d: found %q, want %s", e.Line, e.Found, e.Want)
}

// ParseStat reads memory.stat, or memory.events, which has the same form.
func ParseStat(text string) ([]Stat, error) {
	var out []Stat
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		name, number, ok := strings.Cut(line, " ")
		n, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil || name == "" {
			return nil, &StatError{i + 1, line, "a name and a number"}
		}
		out = append(out, Stat{name, n})
	}
	return out, nil
}

// FormatStat writes lines as the kernel does.
func FormatStat(stats []Stat) string {
	var b strings.Builder
	for _, s := range stats {
		fmt.Fprintf(&b, "%s %d\n", s.Name, s.Value)
	}
	return b.String()
}

// statNames are the lines of memory.stat in Linux 6.1, in order.
var statNames = strings.Fields(`anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped
file_mapped file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon inactive_file active_file
unevictable slab_reclaimable slab_unreclaimable slab workingset_refault_anon workingset_refault_file workingset_activate_anon
workingset_activate_file workingset_restore_anon workingset_restore_file workingset_nodereclaim pgscan pgsteal
pgscan_kswapd pgscan_direct pgsteal_kswapd pgsteal_direct pgfault pgmajfault pgrefill pgactivate pgdeactivate pglazyfree
pglazyfreed zswpin zswpout thp_fault_alloc thp_collapse_alloc`)

// Stats are the lines of memory.stat that the model knows, the others 0: sums of
// the cgroup and those below it.
func (t *Tree) Stats(g ID) []Stat {
	var own [numTypes]int64
	var scanned, stolen uint64
	t.walk(g, func(d ID) {
		m := &t.groups[d]
		for i, n := range m.own {
			own[i] += n
		}
		scanned += m.scanned
		stolen += m.stolen
	})
	out := make([]Stat, len(statNames))
	for i, name := range statNames {
		out[i].Name = name
		switch name {
		case "anon", "inactive_anon":
			out[i].Value = uint64(own[Anon]) << 12
		case "file", "inactive_file":
			out[i].Value = uint64(own[File]) << 12
		case "kernel":
			out[i].Value = uint64(own[Kernel]) << 12
		case "pgscan", "pgscan_direct":
			out[i].Value = scanned
		case "pgsteal", "pgsteal_direct":
			out[i].Value = stolen
		}
	}
	return out
}

// OOMGroups are the cgroups as the OOM killer asks for them.
func (t *Tree) OOMGroups() []oom.Group {
	out := make([]oom.Group, len(t.groups))
	for i := range t.groups {
		m := &t.groups[i]
		out[i] = oom.Group{Path: m.path, Max: m.limits.Max, SwapMax: m.limits.SwapMax, OOMGroup: m.limits.OOMGroup}
	}
	return out
}
