package oom

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Report is what the kernel prints when memory runs out, read from its log.
type Report struct {
	Line      int // of "invoked oom-killer"
	Comm      string
	GFPMask   string
	Order     int
	AskingAdj int
	Shortage  Shortage
	HasTable  bool // the table of processes is there
	// TotalKnown says that Shortage.TotalPages could be told from the report.
	TotalKnown bool
	// Killed are the processes that the kernel says it killed, in order;
	// the first is the victim.
	Killed []Killed
	// GroupKill says that memory.oom.group killed the rest.
	GroupKill bool
	Panic     string // text of the panic that followed, "" if none
	// Lines are the lines of the report that Table, ConstraintLine and so on
	// print again, without the log's prefix.
	Lines []string
}

// Killed is a "Killed process" line. Sizes are kB.
type Killed struct {
	PID                                    int
	Name                                   string
	TotalVM, Anon, File, Shmem, PageTables uint64
	UID, Adj                               int
	Allocating, Memcg                      bool
	full                                   bool // the line has all figures
}

// ParseError says where a log cannot be read.
type ParseError struct {
	File  string
	Line  int
	Found string
	Want  string
}

// Error names file and line, what was found and what was expected.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s:%d: found %q, expected %s", e.File, e.Line, e.Found, e.Want)
}

const (
	maxLine    = 64 << 10
	maxTasks   = 1 << 20
	maxReports = 1 << 14
)

// ReadReports reads all reports of a kernel log, with or without time stamps.
// Lines between them are passed over.
func ReadReports(r io.Reader, file string) ([]Report, error) {
	p := reader{file: file}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 4096), maxLine)
	for s.Scan() {
		p.line++
		if err := p.add(stripPrefix(s.Text())); err != nil {
			return nil, err
		}
	}
	if err := s.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, &ParseError{file, p.line + 1, "a longer line", "at most 64 KiB"}
		}
		return nil, err
	}
	p.end()
	return p.out, nil
}

// stripPrefix takes the log's own beginning off a line: a level, a time stamp,
// the task that printed it.
func stripPrefix(line string) string {
	line = strings.TrimRight(line, "\r\n ")
	i := strings.IndexByte(line, '[')
	if i < 0 || i > 60 {
		return line
	}
	end := strings.IndexByte(line[i:], ']')
	if end < 0 || !isStamp(line[i+1:i+end]) {
		return line
	}
	rest := line[i+end+1:]
	if strings.HasPrefix(rest, "[ ") || strings.HasPrefix(rest, "[T") || strings.HasPrefix(rest, "[C") {
		if j := strings.IndexByte(rest, ']'); j >= 0 {
			rest = rest[j+1:]
		}
	}
	return strings.TrimPrefix(rest, " ")
}

// isStamp says that a text is seconds with a fraction.
func isStamp(s string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil && strings.Contains(s, ".")
}

type reader struct {
	file       string
	line       int
	out        []Report
	cur        *Report
	inTable    bool
	ram, resvd uint64
	swapKB     uint64
	memcg      bool
	limitKB    [2]uint64
	hasRAM     bool
	columns    []string
}

func (p *reader) fail(found, want string) error { return &ParseError{p.file, p.line, found, want} }

func (p *reader) add(line string) error {
	if strings.Contains(line, " invoked oom-killer:") {
		p.end()
		if len(p.out) >= maxReports {
			return p.fail("one more report", strconv.Itoa(maxReports)+" at most")
		}
		return p.begin(line)
	}
	r := p.cur
	if r == nil {
		return nil
	}
	switch {
	case strings.HasPrefix(line, "[  pid  ]") || strings.HasPrefix(line, "[ pid ]"):
		p.inTable, r.HasTable = true, true
		p.columns = strings.Fields(strings.TrimSpace(line[strings.Index(line, "]")+1:]))
		r.Lines = append(r.Lines, line)
	case p.inTable && strings.HasPrefix(line, "["):
		return p.task(line)
	case strings.HasPrefix(line, "oom-kill:constraint="):
		p.inTable = false
		p.constraint(line)
	case strings.Contains(line, "illed process "):
		p.inTable = false
		return p.killed(line)
	case strings.Contains(line, "are going to be killed due to memory.oom.group set"):
		r.GroupKill = true
	case strings.Contains(line, "Kernel panic - not syncing: "):
		if r.Panic == "" {
			_, r.Panic, _ = strings.Cut(line, "Kernel panic - not syncing: ")
			p.end()
		}
	default:
		p.figures(line)
	}
	return nil
}

func (p *reader) begin(line string) error {
	comm, rest, _ := strings.Cut(line, " invoked oom-killer:")
	r := &Report{Line: p.line, Comm: comm, Lines: []string{line}}
	for field := range strings.SplitSeq(rest, ", ") {
		k, v, _ := strings.Cut(strings.TrimSpace(field), "=")
		var err error
		switch k {
		case "gfp_mask":
			r.GFPMask, _, _ = strings.Cut(v, "(")
		case "order":
			r.Order, err = strconv.Atoi(v)
		case "oom_score_adj":
			r.AskingAdj, err = strconv.Atoi(v)
		}
		if err != nil {
			return p.fail(field, "a number")
		}
	}
	*p = reader{file: p.file, line: p.line, out: p.out, cur: r}
	return nil
}

// task reads a row of the table: its columns are those of the head.
func (p *reader) task(line string) error {
	end := strings.IndexByte(line, ']')
	if end < 0 || len(p.cur.Shortage.Tasks) >= maxTasks {
		return p.fail(line, "a row of the table of processes")
	}
	var t Task
	f := strings.Fields(line[end+1:])
	if len(f) < len(p.columns) {
		return p.fail(line, fmt.Sprintf("%d columns", len(p.columns)))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[1:end]))
	if err != nil {
		return p.fail(line[1:end], "a pid")
	}
	t.PID = pid
	for i, name := range p.columns {
		if name == "name" {
			t.Name = strings.Join(f[i:], " ")
			break
		}
		v, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return p.fail(f[i], "a number for "+name)
		}
		t.set(name, v)
	}
	p.cur.Shortage.Tasks = append(p.cur.Shortage.Tasks, t)
	p.cur.Lines = append(p.cur.Lines, line)
	return nil
}

func (t *Task) set(column string, v int64) {
	switch column {
	case "uid":
		t.UID = int(v)
	case "tgid":
		t.TGID = int(v)
	case "total_vm":
		t.TotalVM = uint64(v)
	case "rss":
		t.RSS = uint64(v)
	case "rss_anon":
		t.RSSAnon = uint64(v)
	case "rss_file":
		t.RSSFile = uint64(v)
	case "rss_shmem":
		t.RSSShmem = uint64(v)
	case "pgtables_bytes":
		t.PageTables = uint64(v)
	case "swapents":
		t.Swap = uint64(v)
	case "oom_score_adj":
		t.Adj = int(v)
	}
}

func (p *reader) constraint(line string) {
	p.cur.Lines = append(p.cur.Lines, line)
	for field := range strings.SplitSeq(strings.TrimPrefix(line, "oom-kill:"), ",") {
		if v, ok := strings.CutPrefix(field, "constraint="); ok {
			p.cur.Shortage.Constraint, _ = ConstraintByName(v)
		}
	}
}

// killed reads "Killed process PID (NAME) total-vm:...kB, ...".
func (p *reader) killed(line string) error {
	k := Killed{Allocating: strings.Contains(line, "(oom_kill_allocating_task)"), Memcg: strings.HasPrefix(line, "Memory cgroup out of memory")}
	_, rest, _ := strings.Cut(line, "illed process ")
	pid, rest, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(strings.TrimSuffix(pid, ","))
	if err != nil {
		return p.fail(line, "a pid after \"Killed process\"")
	}
	k.PID = n
	if open, end := strings.IndexByte(rest, '('), strings.Index(rest, ")"); open >= 0 && end > open {
		// A name may hold brackets itself: it ends before " total-vm" or ",".
		if i := strings.Index(rest, ") total-vm"); i > open {
			end = i
		}
		k.Name = rest[open+1 : end]
		rest = rest[end+1:]
	}
	seen := 0
	for field := range strings.FieldsSeq(strings.ReplaceAll(rest, ",", " ")) {
		name, v, _ := strings.Cut(field, ":")
		n, err := strconv.ParseInt(strings.TrimSuffix(v, "kB"), 10, 64)
		if err != nil {
			continue
		}
		seen++
		switch name {
		case "total-vm":
			k.TotalVM = uint64(n)
		case "anon-rss":
			k.Anon = uint64(n)
		case "file-rss":
			k.File = uint64(n)
		case "shmem-rss":
			k.Shmem = uint64(n)
		case "UID":
			k.UID = int(n)
		case "pgtables":
			k.PageTables = uint64(n)
		case "oom_score_adj":
			k.Adj = int(n)
		default:
			seen--
		}
	}
	k.full = seen == 7
	p.cur.Killed = append(p.cur.Killed, k)
	p.cur.Lines = append(p.cur.Lines, line)
	return nil
}

// figures reads the lines that tell how much memory there is.
func (p *reader) figures(line string) {
	number := func(s string) uint64 {
		n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(s), "kB"), 10, 50)
		return n
	}
	switch {
	case strings.HasSuffix(line, " pages RAM"):
		p.ram, p.hasRAM = number(strings.TrimSuffix(line, " pages RAM")), true
	case strings.HasSuffix(line, " pages reserved"):
		p.resvd = number(strings.TrimSuffix(line, " pages reserved"))
	case strings.HasPrefix(line, "Total swap = "):
		p.swapKB = number(strings.TrimPrefix(line, "Total swap = "))
	case strings.HasPrefix(line, "memory: usage "), strings.HasPrefix(line, "swap: usage "):
		p.memcg = true
		i := 0
		if line[0] == 's' {
			i = 1
		}
		if _, v, ok := strings.Cut(line, "limit "); ok {
			v, _, _ = strings.Cut(v, ",")
			p.limitKB[i] = number(v)
		}
	}
}

// end finishes the report under way.
func (p *reader) end() {
	r := p.cur
	if r == nil {
		return
	}
	p.cur = nil
	s := &r.Shortage
	switch {
	case p.memcg && s.Constraint == ConstraintMemcg:
		s.TotalPages, r.TotalKnown = (p.limitKB[0]+p.limitKB[1])/4, true
	case p.hasRAM && p.ram >= p.resvd:
		s.TotalPages, r.TotalKnown = p.ram-p.resvd+p.swapKB/4, true
	}
	for _, k := range r.Killed {
		s.KillAllocating = s.KillAllocating || k.Allocating
	}
	if strings.Contains(r.Panic, "panic_on_oom") {
		s.PanicOnOOM = 1
		if strings.Contains(r.Panic, "compulsory") {
			s.PanicOnOOM = 2
		}
	}
	for i := range s.Tasks {
		if s.Tasks[i].Name == r.Comm && s.Tasks[i].Adj == r.AskingAdj {
			s.Asking = s.Tasks[i].TGID
		}
	}
	p.out = append(p.out, *r)
}

// TableHead and Row print the table of processes as Linux 6.1 does.
const TableHead = "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"

// Row is a process's line of the table.
func (t *Task) Row() string {
	return fmt.Sprintf("[%7d] %5d %5d %8d %8d %8d %8d         %5d %s", t.PID, t.UID, t.TGID, t.TotalVM, t.RSS, t.PageTables, t.Swap, t.Adj, t.Name)
}

// Line is the "Killed process" line as Linux 6.1 prints it.
func (k *Killed) Line() string {
	head := "Out of memory"
	if k.Memcg {
		head = "Memory cgroup out of memory"
	}
	if k.Allocating {
		head += " (oom_kill_allocating_task)"
	}
	return fmt.Sprintf("%s: Killed process %d (%s) total-vm:%dkB, anon-rss:%dkB, file-rss:%dkB, shmem-rss:%dkB, UID:%d pgtables:%dkB oom_score_adj:%d",
		head, k.PID, k.Name, k.TotalVM, k.Anon, k.File, k.Shmem, k.UID, k.PageTables, k.Adj)
}

// Whole says that the line had all figures, so that Line prints it again.
func (k *Killed) Whole() bool { return k.full }
