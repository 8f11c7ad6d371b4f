package oom

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// ParseError says what is wrong with a log.
type ParseError struct {
	File string
	// Line counts from 1.
	Line        int
	Found, Want string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("oom: %s:%d: found %q, want %s", e.File, e.Line, e.Found, e.Want)
}

// Bounds of what a log may hold.
const (
	maxLine    = 1 << 16
	maxTasks   = 1 << 22
	maxNodes   = 64
	maxReports = 1 << 20
	// maxPages bounds figures, so that no sum of them overflows.
	maxPages = 1 << 50
)

// logLine is a line without its time stamp.
type logLine struct {
	text    string
	no      int
	wrapped bool
}

var (
	stampRE  = regexp.MustCompile(`^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?`)
	invokeRE = regexp.MustCompile(`^(.*) invoked oom-killer: gfp_mask=(0x[0-9a-f]+)\(([^)]*)\), (?:nodemask=[^ ]+,? +)?order=(-?\d+), oom_score_adj=(-?\d+)`)
	cpuRE    = regexp.MustCompile(`^CPU: \d+ (?:UID: \d+ )?PID: (\d+) Comm: .*?(?:Not tainted|Tainted: [A-Z ]*?) +(\d+\.\d+\S*)`)
	killRE   = regexp.MustCompile(`^(.*): Killed process (\d+) \((.*)\),? total-vm:(\d+)kB, anon-rss:(\d+)kB, file-rss:(\d+)kB, shmem-rss:(\d+)kB(?:, UID:(\d+) pgtables:(\d+)kB oom_score_adj:(-?\d+))?`)
	memRE    = regexp.MustCompile(`^(memory|swap|memory\+swap): usage \d+kB, limit (\d+)kB, failcnt`)
	orderRE  = regexp.MustCompile(`^Node \d+ \S+: \d+\*(\d+)kB `)
	zoneRE   = regexp.MustCompile(`^Node (\d+) \S+ free:.* present:(\d+)kB`)
	rowRE    = regexp.MustCompile(`^\[ *(\d+)\] `)
	goneRE   = regexp.MustCompile(`: OOM victim (\d+) \(.*\)` + exitingTail + `$`)
	wholeRE  = regexp.MustCompile(`^oom-kill:.*,uid=\d+$|: Killed process .* oom_score_adj:-?\d+$`)
	countRE  = regexp.MustCompile(`^(\d+) pages (RAM|reserved)$`)
)

// ParseLog reads all OOM reports of a kernel log: dmesg, console or mail text,
// with or without time stamps, also where long lines were broken. Lines that
// are not the OOM killer's are passed over. Errors are [ParseError] or the
// reader's.
func ParseLog(file string, r io.Reader) ([]Report, error) {
	lines, err := readLines(file, r)
	if err != nil {
		return nil, err
	}
	p := parser{file: file}
	for i := range lines {
		if err := p.line(&lines[i]); err != nil {
			return nil, err
		}
	}
	p.close()
	return p.out, nil
}

// readLines reads the log, takes the time stamps away and joins broken lines.
func readLines(file string, r io.Reader) ([]logLine, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	var out []logLine
	stamps := false
	for no := 1; s.Scan(); no++ {
		raw := strings.TrimRight(s.Text(), "\r \t")
		text := raw
		if _, after, ok := strings.Cut(raw, " kernel: "); ok && !strings.HasPrefix(raw, "[") {
			text = after
		}
		text = strings.TrimPrefix(text, "  ")
		stamp := stampRE.FindString(text)
		text = text[len(stamp):]
		stamps = stamps || stamp != ""
		if n := len(out); n > 0 && stamps && stamp == "" && text != "" && mayBreak(out[n-1].text) && !startsOwn(text) && !foreign(out[n-1].text, text) {
			if len(out[n-1].text)+len(text) < maxLine {
				out[n-1].text += " " + text
				out[n-1].wrapped = true
			}
			continue
		}
		out = append(out, logLine{text: text, no: no})
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return nil, &ParseError{file, len(out) + 1, "a longer line", fmt.Sprintf("at most %d bytes", maxLine)}
	}
	return out, s.Err()
}

// mayBreak: a line of this kind is long enough to have been broken.
func mayBreak(text string) bool {
	return rowRE.MatchString(text) || strings.HasPrefix(text, "Node ") || strings.HasPrefix(text, "oom-kill:") ||
		strings.HasPrefix(text, "[  pid  ]") || strings.Contains(text, " invoked oom-killer:") || strings.Contains(text, ": Killed process ")
}

// foreign: a line without a time stamp cannot belong to the one before, which has its
// last number: a program printed it on the console.
func foreign(before, text string) bool {
	return wholeRE.MatchString(before) && (text[0] < '0' || text[0] > '9')
}

// startsOwn: a line without a time stamp that is whole.
func startsOwn(text string) bool {
	return strings.HasPrefix(text, "lowmem_reserve") || strings.HasPrefix(text, "Node ") || rowRE.MatchString(text)
}

// parser turns lines into reports.
type parser struct {
	file string
	out  []Report
	cur  *Report
	// columns are the table's, by name.
	columns []string
}

func (p *parser) close() {
	if p.cur != nil {
		p.out = append(p.out, *p.cur)
	}
	p.cur, p.columns = nil, nil
}

func (p *parser) fault(l *logLine, want string) error {
	return &ParseError{p.file, l.no, clip(l.text), want}
}

func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "..."
	}
	return s
}

// keep notes a line that the model writes itself.
func (r *Report) keep(l *logLine) {
	r.Text = append(r.Text, l.text)
	r.Wrapped = append(r.Wrapped, l.wrapped)
}

func (p *parser) line(l *logLine) error {
	if strings.Contains(l.text, " invoked oom-killer:") {
		return p.start(l)
	}
	if strings.Contains(l.text, ": Killed process ") {
		return p.kill(l)
	}
	if p.cur == nil {
		return nil
	}
	if p.columns != nil && rowRE.MatchString(l.text) {
		return p.row(l)
	}
	return p.other(l)
}

func (p *parser) start(l *logLine) error {
	p.close()
	if len(p.out) >= maxReports {
		return p.fault(l, "fewer reports")
	}
	m := invokeRE.FindStringSubmatch(l.text)
	if m == nil {
		return p.fault(l, `"COMM invoked oom-killer: gfp_mask=0xN(NAMES), order=N, oom_score_adj=N"`)
	}
	order, err1 := strconv.Atoi(m[4])
	adj, err2 := strconv.Atoi(m[5])
	if errors.Join(err1, err2) != nil || adj < AdjMin || adj > AdjMax {
		return p.fault(l, "an order and an oom_score_adj")
	}
	p.cur = &Report{Line: l.no, Header: &Header{Comm: m[1], GFPMask: m[2], GFPNames: m[3], Order: order, OOMScoreAdj: adj}}
	p.cur.keep(l)
	return nil
}

// kill reads a kill line. Without a header it is a report of its own: the first
// part was not printed.
func (p *parser) kill(l *logLine) error {
	m := killRE.FindStringSubmatch(l.text)
	if m == nil {
		return p.fault(l, `"Killed process N (COMM) total-vm:NkB, anon-rss:NkB, ..."`)
	}
	n, err := numbers(m[2], m[4], m[5], m[6], m[7], orText(m[8], "0"), orText(m[9], "0"), orText(m[10], "0"))
	if err != nil {
		return p.fault(l, "numbers within bounds")
	}
	k := Kill{Line: l.no, Message: m[1], Comm: m[3], PID: int32(n[0]), TotalVM: n[1], Anon: n[2], File: n[3], Shmem: n[4],
		UID: uint32(n[5]), Pgtables: n[6], OOMScoreAdj: int(n[7])}
	if n[0] > 1<<31-1 || n[5] > 1<<32-1 || k.OOMScoreAdj < AdjMin || k.OOMScoreAdj > AdjMax {
		return p.fault(l, "a process id, a user id, an oom_score_adj")
	}
	if p.cur != nil && len(p.cur.Kills) > 0 && p.cur.Group == "" {
		p.close()
	}
	if p.cur == nil {
		p.cur = &Report{Line: l.no}
	}
	p.cur.Kills = append(p.cur.Kills, k)
	if p.cur.Group != "" {
		p.cur.Members = append(p.cur.Members, k.PID)
	}
	p.cur.keep(l)
	return nil
}

// numbers reads integers of at most [maxPages].
func numbers(text ...string) ([]int64, error) {
	out := make([]int64, len(text))
	for i, s := range text {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n > maxPages<<12 || n < -maxPages {
			return nil, fmt.Errorf("number %q", s)
		}
		out[i] = n
	}
	return out, nil
}

// row reads a line of the table of tasks.
func (p *parser) row(l *logLine) error {
	open, rest, _ := strings.Cut(l.text, "]")
	fields := strings.Fields(rest)
	n := len(p.columns) - 2 // without pid and name
	if len(fields) < n {
		return p.fault(l, fmt.Sprintf("a row of %d columns", len(p.columns)))
	}
	if len(p.cur.Tasks) >= maxTasks {
		return p.fault(l, "fewer tasks")
	}
	// A name may have blanks in it.
	name := strings.TrimLeft(rest, " ")
	for range n {
		_, name, _ = strings.Cut(name, " ")
		name = strings.TrimLeft(name, " ")
	}
	t := Task{Comm: name}
	v, err := numbers(append([]string{strings.TrimSpace(open[1:])}, fields[:n]...)...)
	if err != nil {
		return p.fault(l, "numbers within bounds")
	}
	split := false
	for i, x := range v {
		split = t.set(p.columns[i], x, p.cur.pageSize()) || split
	}
	if !t.plausible() || v[0] > 1<<31-1 {
		return p.fault(l, "a task's sizes")
	}
	p.cur.SplitRSS = split
	p.cur.Tasks = append(p.cur.Tasks, t)
	p.cur.keep(l)
	return nil
}

func (r *Report) pageSize() int64 {
	if r.Memory.PageSize == 0 {
		return 4096
	}
	return r.Memory.PageSize
}

// set puts a column's figure into its place. It says whether the column tells a
// kind of memory apart.
func (t *Task) set(column string, n, page int64) (split bool) {
	switch column {
	case "pid":
		t.PID = int32(n)
	case "uid":
		t.UID = uint32(n)
	case "tgid":
		t.TGID = int32(n)
	case "total_vm":
		t.TotalVM = n
	case "rss":
		// Where the kinds are not told apart, all count as anonymous.
		t.Anon = n
	case "rss_anon":
		t.Anon = n
		return true
	case "rss_file":
		t.File = n
	case "rss_shmem":
		t.Shmem = n
	case "pgtables_bytes":
		t.PgtablesBytes = n
	case "nr_ptes", "nr_pmds", "nr_puds":
		t.PgtablesBytes += n * page
	case "swapents":
		t.Swapents = n
	case "oom_score_adj":
		t.OOMScoreAdj = int16(max(min(n, AdjMax+1), AdjMin-1))
	}
	return false
}

func (t *Task) plausible() bool {
	return t.PID > 0 && t.TGID > 0 && t.TotalVM >= 0 && t.TotalVM <= maxPages && t.Anon >= 0 && t.Anon <= maxPages &&
		t.File >= 0 && t.File <= maxPages && t.Shmem >= 0 && t.Shmem <= maxPages && t.PgtablesBytes >= 0 && t.PgtablesBytes <= maxPages<<12 &&
		t.Swapents >= 0 && t.Swapents <= maxPages && t.OOMScoreAdj >= AdjMin && t.OOMScoreAdj <= AdjMax
}

// other reads the other lines of a report.
func (p *parser) other(l *logLine) error {
	r, text := p.cur, l.text
	switch {
	case strings.HasPrefix(text, "oom-kill:"):
		return p.summary(l)
	case strings.HasPrefix(text, tableTitle):
		r.HasTable = true
		r.keep(l)
	case strings.HasPrefix(text, "[ ") && strings.Contains(text, "pid") && strings.HasSuffix(text, " name"):
		p.columns = append([]string{"pid"}, strings.Fields(text[strings.IndexByte(text, ']')+1:])...)
		r.HasTable = true
		r.keep(l)
	case strings.HasPrefix(text, "Tasks in ") && strings.HasSuffix(text, groupTail):
		r.Group = strings.TrimSuffix(strings.TrimPrefix(text, "Tasks in "), groupTail)
		r.keep(l)
	case strings.HasSuffix(text, exitingTail):
		if m := goneRE.FindStringSubmatch(text); m != nil {
			if n, err := strconv.ParseInt(m[1], 10, 32); err == nil {
				r.Gone = append(r.Gone, int32(n))
				r.Members = append(r.Members, int32(n))
				r.keep(l)
			}
		}
	case text == msgNobody:
		r.Nobody = true
		r.keep(l)
	case strings.HasPrefix(text, panicHead):
		r.Panic = strings.TrimPrefix(text, panicHead)
		r.keep(l)
		p.close()
	default:
		if !r.HasTable && len(r.Kills) == 0 {
			r.Context = append(r.Context, text)
			return p.context(l)
		}
	}
	return nil
}

// context reads the figures about memory and the current task.
func (p *parser) context(l *logLine) error {
	h, m := p.cur.Header, &p.cur.Memory
	if c := cpuRE.FindStringSubmatch(l.text); c != nil && h != nil {
		if n, err := strconv.ParseInt(c[1], 10, 32); err == nil && h.PID == 0 {
			h.PID, p.cur.Kernel = int32(n), c[2]
		}
		return nil
	}
	if !m.line(l.text) {
		return p.fault(l, "figures within bounds")
	}
	return nil
}

// line notes what a line tells about memory; false if it tells nonsense.
func (m *Memory) line(text string) bool {
	if c := countRE.FindStringSubmatch(text); c != nil {
		n, err := numbers(c[1])
		if err != nil || n[0] > maxPages {
			return false
		}
		if c[2] == "RAM" {
			m.RAMPages, m.HasRAM = n[0], true
		} else {
			m.ReservedPages = n[0]
		}
		return true
	}
	if c := memRE.FindStringSubmatch(text); c != nil {
		return m.limit(c[1], c[2])
	}
	if rest, ok := strings.CutPrefix(text, "Total swap = "); ok {
		n, err := numbers(strings.TrimSuffix(rest, "kB"))
		if err == nil {
			m.SwapKB, m.HasSwap = n[0], true
		}
		return err == nil
	}
	return m.zone(text)
}

// zone reads the lines of zones: present memory, and the page size as that of
// the smallest block.
func (m *Memory) zone(text string) bool {
	if c := orderRE.FindStringSubmatch(text); c != nil {
		n, err := numbers(c[1])
		if err != nil || n[0] < 1 || n[0] > 1<<10 || n[0]&(n[0]-1) != 0 {
			return false
		}
		m.PageSize = n[0] << 10
		return true
	}
	c := zoneRE.FindStringSubmatch(text)
	if c == nil {
		return true
	}
	n, err := numbers(c[1], c[2])
	if err != nil || n[0] >= maxNodes {
		return false
	}
	for int64(len(m.PresentKB)) <= n[0] {
		m.PresentKB = append(m.PresentKB, 0)
	}
	m.PresentKB[n[0]] += n[1]
	return true
}

// limit notes a cgroup's limit, in kB.
func (m *Memory) limit(which, text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return false
	}
	switch which {
	case "memory":
		m.LimitKB, m.HasLimit = n, true
	case "swap":
		m.SwapLimitKB, m.HasSwapLimit = n, true
	default:
		m.SwapLimitKB, m.HasSwapLimit, m.Memsw = n, true, true
	}
	return true
}

// summary reads the line "oom-kill:". A line that was cut at its end, or is of
// another kernel, is passed over: there is nothing to compare with.
func (p *parser) summary(l *logLine) error {
	s := &Summary{}
	rest, ok := strings.CutPrefix(l.text, "oom-kill:constraint=")
	for i, key := range []string{",nodemask=", ",cpuset=", ",mems_allowed="} {
		to := []*string{&s.Constraint, &s.Nodemask, &s.Cpuset}[i]
		if *to, rest, ok = cutIf(rest, key, ok); !ok {
			return nil
		}
	}
	if before, after, global := strings.Cut(rest, ",global_oom"); global {
		s.MemsAllowed, rest = before, after
	} else {
		s.MemsAllowed, rest, ok = cutIf(rest, ",oom_memcg=", ok)
		s.OOMMemcg, rest, ok = cutIf(rest, ",task_memcg=", ok)
		rest = ",task_memcg=" + rest
	}
	if ok && s.task(rest) {
		p.cur.Summary = s
		p.cur.keep(l)
	}
	return nil
}

// cutIf is strings.Cut, and fails if something failed before.
func cutIf(text, key string, ok bool) (before, after string, found bool) {
	before, after, found = strings.Cut(text, key)
	return before, after, found && ok
}

// task reads the summary's end, from the back: names may hold commas.
func (s *Summary) task(rest string) bool {
	rest, ok := strings.CutPrefix(rest, ",task_memcg=")
	u := strings.LastIndex(rest, ",uid=")
	if !ok || u < 0 {
		return false
	}
	i := strings.LastIndex(rest[:u], ",pid=")
	k := strings.Index(rest, ",task=")
	if i < 0 || k < 0 || k+6 > i {
		return false
	}
	pid, err1 := strconv.ParseInt(rest[i+5:u], 10, 32)
	uid, err2 := strconv.ParseUint(rest[u+5:], 10, 32)
	s.TaskMemcg, s.Task, s.PID, s.UID = rest[:k], rest[k+6:i], int32(pid), uint32(uid)
	return err1 == nil && err2 == nil
}

// ParseText is [ParseLog] of bytes.
func ParseText(file string, text []byte) ([]Report, error) {
	return ParseLog(file, bytes.NewReader(text))
}
