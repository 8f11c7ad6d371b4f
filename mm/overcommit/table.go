package overcommit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Row is a line of a table of requests.
type Row struct {
	// Line is its line, from 1.
	Line   int
	Config Config
	// CommittedPages is Committed_AS before.
	CommittedPages int64
	Who            Caller
	KindName       string
	Kind           Kind
	Bytes          int64
	// Want is what a kernel did, if the table tells.
	Want *Answer
	// LimitKB is the kernel's CommitLimit, in kB; -1 if the table does not tell.
	LimitKB int64
}

// Answer is what comes of a request.
type Answer struct {
	Allowed bool `json:"allowed"`
	// Errno is 0 or the error's number.
	Errno int `json:"errno"`
	// CommittedKB is Committed_AS after, in kB; -1 if not told.
	CommittedKB int64 `json:"committed_as_after_kb"`
}

// TableError says what is wrong with a table.
type TableError struct {
	File        string
	Line        int
	Found, Want string
	// Errno is what the kernel would have said to such a value.
	Errno string
}

func (e *TableError) Error() string {
	return fmt.Sprintf("overcommit: %s:%d: found %q, want %s (%s)", e.File, e.Line, e.Found, e.Want, e.Errno)
}

// Bounds of a table.
const (
	maxLine = 1 << 12
	maxRows = 1 << 20
)

// columns that a table needs; the others are optional.
var columns = []string{"mode", "mem_total_kb", "kind", "request_bytes"}

// ReadTable reads a table of requests: tab-separated, with a heading that names
// the columns mode, ratio, kbytes, admin_reserve_kb, user_reserve_kb,
// hugepages_2M, cap_sys_admin, mem_total_kb, swap_total_kb, commit_limit_kb,
// committed_as_kb, total_vm_pages, cpus, kind, request_bytes, and what the kernel did:
// allowed (yes or no), errno, committed_as_after_kb. Others are passed over.
// Errors are [TableError] or the reader's.
func ReadTable(file string, r io.Reader) ([]Row, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	var head []string
	var out []Row
	line := 0
	for s.Scan() {
		line++
		fields := strings.Split(strings.TrimRight(s.Text(), "\r\n"), "\t")
		switch {
		case head == nil:
			head = fields
			for _, c := range columns {
				if !slices.Contains(head, c) {
					return nil, &TableError{file, line, clip(s.Text()), "a heading with the column " + c, "EINVAL"}
				}
			}
			continue
		case len(fields) == 1 && fields[0] == "":
			continue
		case len(out) >= maxRows:
			return nil, &TableError{file, line, "another row", fmt.Sprintf("at most %d rows", maxRows), "E2BIG"}
		}
		p := rowParser{file: file, line: line, head: head, fields: fields}
		row := p.row()
		if p.err != nil {
			return nil, p.err
		}
		out = append(out, row)
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return nil, &TableError{file, line + 1, "a longer line", fmt.Sprintf("at most %d bytes", maxLine), "E2BIG"}
	}
	if s.Err() == nil && head == nil {
		return nil, &TableError{file, 1, "", "a heading", "EINVAL"}
	}
	return out, s.Err()
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// rowParser reads one row; it keeps the first error.
type rowParser struct {
	file   string
	line   int
	head   []string
	fields []string
	err    error
}

func (p *rowParser) fail(found, want string) {
	if p.err == nil {
		p.err = &TableError{p.file, p.line, clip(found), want, "EINVAL"}
	}
}

// text is a column's field; ok is false if there is no such column.
func (p *rowParser) text(column string) (s string, ok bool) {
	i := slices.Index(p.head, column)
	if i < 0 || i >= len(p.fields) {
		return "", false
	}
	return p.fields[i], true
}

// number reads a column, or gives a value for a missing one.
func (p *rowParser) number(column string, missing int64) int64 {
	s, ok := p.text(column)
	if !ok {
		return missing
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		p.fail(s, "a number from 0 for "+column)
		return 0
	}
	return n
}

func (p *rowParser) row() Row {
	if len(p.fields) != len(p.head) {
		p.fail(strings.Join(p.fields, " "), fmt.Sprintf("%d columns", len(p.head)))
		return Row{}
	}
	r := Row{Line: p.line, LimitKB: p.number("commit_limit_kb", -1), CommittedPages: p.number("committed_as_kb", 0) / 4,
		Who:   Caller{TotalVM: p.number("total_vm_pages", 0), SysAdmin: p.number("cap_sys_admin", 1) != 0},
		Bytes: p.number("request_bytes", 0)}
	r.Config = Config{RAMPages: p.number("mem_total_kb", 0) / 4, SwapPages: p.number("swap_total_kb", 0) / 4,
		HugetlbPages: min(p.number("hugepages_2M", 0), maxPages>>20) * 512, Mode: Mode(min(p.number("mode", 0), 255)),
		RatioPercent: p.number("ratio", 50), Kbytes: p.number("kbytes", 0),
		AdminReserveKB: p.number("admin_reserve_kb", 8192), UserReserveKB: p.number("user_reserve_kb", 131072),
		CPUs: int(min(p.number("cpus", 1), maxCPUs+1))}
	if _, err := New(r.Config, r.CommittedPages); p.err == nil && err != nil {
		p.fail(err.Error(), "values that the kernel takes")
	}
	r.KindName, _ = p.text("kind")
	var err error
	if r.Kind, err = ParseKind(r.KindName); err != nil {
		p.fail(r.KindName, "a kind of request")
	}
	if r.Bytes == 0 {
		p.fail("0", "a request of at least a byte")
	}
	r.Want = p.want()
	return r
}

// want reads what the kernel did.
func (p *rowParser) want() *Answer {
	s, ok := p.text("allowed")
	if !ok {
		return nil
	}
	if s != "yes" && s != "no" {
		p.fail(s, "yes or no")
	}
	return &Answer{Allowed: s == "yes", Errno: int(p.number("errno", 0)), CommittedKB: p.number("committed_as_after_kb", -1)}
}
