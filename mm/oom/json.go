package oom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// CaseError says what is wrong with a case. Errno is what the kernel says to
// such a value.
type CaseError struct {
	// Field is the JSON path, such as "tasks[3].oom_score_adj"; "" for the file.
	Field, Found, Want, Errno string
}

func (e *CaseError) Error() string {
	field := e.Field
	if field == "" {
		field = "case"
	}
	return fmt.Sprintf("oom: %s: found %s, want %s (%s)", field, e.Found, e.Want, e.Errno)
}

// Case is a shortage as a JSON file tells it. Sizes are in pages, but for
// pgtables_bytes and page_size.
type Case struct {
	// Kernel is a release, "6.1" if empty.
	Kernel             string      `json:"kernel"`
	PageSize           int64       `json:"page_size"`
	RAMPages           int64       `json:"ram_pages"`
	SwapPages          int64       `json:"swap_pages"`
	NodePresent        []int64     `json:"node_present"`
	PanicOnOOM         int         `json:"panic_on_oom"`
	KillAllocatingTask bool        `json:"oom_kill_allocating_task"`
	SysRq              bool        `json:"sysrq"`
	Request            CaseRequest `json:"request"`
	// Memcg is the cgroup that is out of memory; "": the machine is.
	Memcg  string      `json:"memcg"`
	Groups []CaseGroup `json:"groups"`
	Tasks  []CaseTask  `json:"tasks"`
}

// CaseRequest is the request that could not be served.
type CaseRequest struct {
	// PID is who asked; 0 for none of the tasks.
	PID         int32  `json:"pid"`
	GFPMask     string `json:"gfp_mask"`
	GFPNames    string `json:"gfp_names"`
	Order       int    `json:"order"`
	NoFS        bool   `json:"no_fs"`
	ThisNode    bool   `json:"this_node"`
	Nodemask    uint64 `json:"nodemask"`
	MemsAllowed uint64 `json:"mems_allowed"`
}

// CaseGroup is a memory cgroup. A limit that is absent is "max".
type CaseGroup struct {
	Path     string `json:"path"`
	Max      *int64 `json:"max"`
	SwapMax  *int64 `json:"swap_max"`
	NoSwap   bool   `json:"no_swap"`
	OOMGroup bool   `json:"oom_group"`
}

// CaseTask is a task. Resident pages are rss, or the three kinds.
type CaseTask struct {
	PID           int32    `json:"pid"`
	TGID          int32    `json:"tgid"`
	UID           uint32   `json:"uid"`
	Name          string   `json:"name"`
	TotalVM       int64    `json:"total_vm"`
	RSS           int64    `json:"rss"`
	RSSAnon       int64    `json:"rss_anon"`
	RSSFile       int64    `json:"rss_file"`
	RSSShmem      int64    `json:"rss_shmem"`
	PgtablesBytes int64    `json:"pgtables_bytes"`
	Swapents      int64    `json:"swapents"`
	OOMScoreAdj   int      `json:"oom_score_adj"`
	Memcg         string   `json:"memcg"`
	MM            int32    `json:"mm"`
	Mems          uint64   `json:"mems_allowed"`
	Policy        uint64   `json:"policy_nodes"`
	Flags         []string `json:"flags"`
}

// flagNames are the names of task flags in a case.
var flagNames = map[string]TaskFlags{"init": Init, "kthread": KernelThread, "victim": Victim, "reaped": Reaped,
	"vfork": VFork, "exiting": Exiting, "origin": Origin, "no_mm": NoMM}

// maxCase bounds a case, in bytes.
const maxCase = 256 << 20

// ReadCase reads a case. The error is a [CaseError] or the reader's.
func ReadCase(r io.Reader) (*Case, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCase+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCase {
		return nil, &CaseError{"", "a longer file", fmt.Sprintf("at most %d bytes", maxCase), "E2BIG"}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	c := &Case{}
	if err := d.Decode(c); err != nil {
		return nil, &CaseError{"", err.Error(), "JSON of a shortage", "EINVAL"}
	}
	if d.More() {
		return nil, &CaseError{"", "more after it", "one JSON object", "EINVAL"}
	}
	return c, c.validate()
}

// validate checks ranges, so that no sum overflows, and names what the kernel
// would refuse.
func (c *Case) validate() error {
	if c.PageSize != 0 && (c.PageSize < 1024 || c.PageSize > 1<<20 || c.PageSize&(c.PageSize-1) != 0) {
		return &CaseError{"page_size", fmt.Sprint(c.PageSize), "a power of two, 1024 to 1048576", "EINVAL"}
	}
	if c.PanicOnOOM < 0 || c.PanicOnOOM > 2 {
		return &CaseError{"panic_on_oom", fmt.Sprint(c.PanicOnOOM), "0, 1 or 2", "EINVAL"}
	}
	if len(c.NodePresent) > maxNodes {
		return &CaseError{"node_present", fmt.Sprint(len(c.NodePresent), " nodes"), fmt.Sprint("at most ", maxNodes), "EINVAL"}
	}
	if len(c.Tasks) > maxTasks {
		return &CaseError{"tasks", fmt.Sprint(len(c.Tasks)), fmt.Sprint("at most ", maxTasks), "EAGAIN"}
	}
	if err := pagesInRange("ram_pages", c.RAMPages, "swap_pages", c.SwapPages); err != nil {
		return err
	}
	for i, n := range c.NodePresent {
		if err := pagesInRange(fmt.Sprintf("node_present[%d]", i), n); err != nil {
			return err
		}
	}
	if err := c.validateGroups(); err != nil {
		return err
	}
	return c.validateTasks()
}

// pagesInRange checks pairs of a field's name and its pages.
func pagesInRange(pairs ...any) error {
	for i := 0; i < len(pairs); i += 2 {
		if n := pairs[i+1].(int64); n < 0 || n > maxPages {
			return &CaseError{pairs[i].(string), fmt.Sprint(n), fmt.Sprint("0 to ", int64(maxPages)), "EINVAL"}
		}
	}
	return nil
}

func (c *Case) validateGroups() error {
	known := c.Memcg == ""
	for i := range c.Groups {
		g := &c.Groups[i]
		at := fmt.Sprintf("groups[%d].", i)
		if g.Path == "" || g.Path[0] != '/' {
			return &CaseError{at + "path", fmt.Sprintf("%q", g.Path), "a path from /", "ENOENT"}
		}
		known = known || g.Path == c.Memcg
		for _, n := range []*int64{g.Max, g.SwapMax} {
			if n == nil {
				continue
			}
			if err := pagesInRange(at+"max", *n); err != nil {
				return err
			}
		}
	}
	if !known {
		return &CaseError{"memcg", fmt.Sprintf("%q", c.Memcg), "the path of one of groups", "ENOENT"}
	}
	return nil
}

func (c *Case) validateTasks() error {
	seen := make(map[int32]bool, len(c.Tasks))
	for i := range c.Tasks {
		t := &c.Tasks[i]
		at := fmt.Sprintf("tasks[%d].", i)
		if t.PID <= 0 || seen[t.PID] {
			return &CaseError{at + "pid", fmt.Sprint(t.PID), "a process id of its own, above 0", "ESRCH"}
		}
		seen[t.PID] = true
		if t.OOMScoreAdj < AdjMin || t.OOMScoreAdj > AdjMax {
			return &CaseError{at + "oom_score_adj", fmt.Sprint(t.OOMScoreAdj), "-1000 to 1000", "EINVAL"}
		}
		if err := pagesInRange(at+"total_vm", t.TotalVM, at+"rss", t.RSS, at+"rss_anon", t.RSSAnon, at+"rss_file", t.RSSFile,
			at+"rss_shmem", t.RSSShmem, at+"pgtables_bytes", t.PgtablesBytes, at+"swapents", t.Swapents); err != nil {
			return err
		}
		if kinds := t.RSSAnon + t.RSSFile + t.RSSShmem; t.RSS != 0 && kinds != 0 && kinds != t.RSS {
			return &CaseError{at + "rss", fmt.Sprint(t.RSS), fmt.Sprint("the kinds' sum ", kinds, ", or neither"), "EINVAL"}
		}
		for _, f := range t.Flags {
			if flagNames[f] == 0 {
				return &CaseError{at + "flags", fmt.Sprintf("%q", f), "init, kthread, victim, reaped, vfork, exiting, origin or no_mm", "EINVAL"}
			}
		}
	}
	if c.Request.PID != 0 && !seen[c.Request.PID] {
		return &CaseError{"request.pid", fmt.Sprint(c.Request.PID), "the pid of one of tasks, or 0", "ESRCH"}
	}
	return nil
}

// Control makes the OOM killer's input of a case.
func (c *Case) Control() Control {
	out := Control{PageSize: c.PageSize, RAMPages: c.RAMPages, SwapPages: c.SwapPages, NodePresent: c.NodePresent,
		Current: -1, ThisNode: c.Request.ThisNode, FS: !c.Request.NoFS, Nodemask: c.Request.Nodemask, MemsAllowed: c.Request.MemsAllowed,
		Memcg: c.Memcg, SysRq: c.SysRq, PanicOnOOM: c.PanicOnOOM, KillAllocatingTask: c.KillAllocatingTask}
	out.PageSize = out.pageSize()
	for i := range c.Groups {
		g := &c.Groups[i]
		out.Groups = append(out.Groups, Group{Path: g.Path, Max: limitOf(g.Max), SwapMax: limitOf(g.SwapMax), NoSwap: g.NoSwap, OOMGroup: g.OOMGroup})
	}
	out.Tasks = make([]Task, len(c.Tasks))
	for i := range c.Tasks {
		out.Tasks[i] = c.Tasks[i].task()
		if c.Tasks[i].PID == c.Request.PID {
			out.Current = i
		}
	}
	return out
}

func limitOf(n *int64) int64 {
	if n == nil {
		return NoLimit
	}
	return *n
}

func (t *CaseTask) task() Task {
	out := Task{PID: t.PID, TGID: t.TGID, UID: t.UID, Comm: t.Name, TotalVM: t.TotalVM, Anon: t.RSSAnon, File: t.RSSFile, Shmem: t.RSSShmem,
		PgtablesBytes: t.PgtablesBytes, Swapents: t.Swapents, OOMScoreAdj: int16(t.OOMScoreAdj), Memcg: t.Memcg, MM: t.MM,
		Mems: t.Mems, Policy: t.Policy}
	if out.TGID == 0 {
		out.TGID = t.PID
	}
	if out.RSS() == 0 {
		out.Anon = t.RSS
	}
	for _, f := range t.Flags {
		out.Flags |= flagNames[f]
	}
	return out
}

// Profile is that of the case's kernel.
func (c *Case) Profile() Profile {
	a, b := versionOf(orText(c.Kernel, "6.1"))
	return ProfileFor(a, b)
}

// Header is the report's first line for a case.
func (c *Case) Header(control *Control) *Header {
	h := &Header{Comm: "kernel", GFPMask: orText(c.Request.GFPMask, "0xcc0"), GFPNames: orText(c.Request.GFPNames, "GFP_KERNEL"), Order: c.Request.Order}
	if t := control.current(); t != nil {
		h.Comm, h.PID, h.OOMScoreAdj = t.Comm, t.PID, int(t.OOMScoreAdj)
	}
	return h
}
