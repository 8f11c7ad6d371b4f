package overcommit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Row is a row of a table of requests: what the machine was like, what was
// asked for, and what the kernel did.
type Row struct {
	Line    int
	System  System
	Request Request
	Note    string
	// What the kernel did: CommitLimit and Committed_AS after it in kB.
	Allowed     bool
	Errno       int
	CommitLimit uint64
	After       uint64
}

// TableError says where a table cannot be read.
type TableError struct {
	File  string
	Line  int
	Found string
	Want  string
}

// Error names file and line, what was found and what was expected.
func (e *TableError) Error() string {
	return fmt.Sprintf("%s:%d: found %q, expected %s", e.File, e.Line, e.Found, e.Want)
}

const (
	maxRows = 1 << 20
	maxLine = 64 << 10
)

// required are the columns that a table must have.
var required = []string{"mode", "kind", "request_bytes", "allowed", "mem_total_kb"}

// ReadTable reads a table: lines of columns between tabs, the first with their
// names. Columns that are not known are passed over.
func ReadTable(r io.Reader, file string) ([]Row, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 4096), maxLine)
	var columns []string
	var out []Row
	n := 0
	for s.Scan() {
		n++
		line := strings.TrimRight(s.Text(), "\r")
		switch {
		case columns == nil:
			columns = strings.Split(line, "\t")
			for _, name := range required {
				if !strings.Contains("\t"+line+"\t", "\t"+name+"\t") {
					return nil, &TableError{file, n, line, "a column " + name}
				}
			}
		case line == "":
		case len(out) == maxRows:
			return nil, &TableError{file, n, "one more row", strconv.Itoa(maxRows) + " at most"}
		default:
			row, err := readRow(columns, line, file, n)
			if err != nil {
				return nil, err
			}
			out = append(out, row)
		}
	}
	if err := s.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, &TableError{file, n + 1, "a longer line", "at most 64 KiB"}
		}
		return nil, err
	}
	if columns == nil {
		return nil, &TableError{file, 1, "", "the names of the columns"}
	}
	return out, nil
}

func readRow(columns []string, line, file string, n int) (Row, error) {
	cells := strings.Split(line, "\t")
	row := Row{Line: n}
	for i, name := range columns {
		if i >= len(cells) {
			break
		}
		if err := row.set(name, cells[i]); err != nil {
			return row, &TableError{file, n, cells[i], err.Error() + " in column " + name}
		}
	}
	return row, nil
}

var (
	errKind    = errors.New("a kind of request that is known")
	errAllowed = errors.New("yes or no")
	errMode    = errors.New("0, 1 or 2")
	errNumber  = errors.New("a number")
)

// set reads a cell by the name of its column.
func (r *Row) set(column, cell string) error {
	switch column {
	case "kind":
		k, ok := KindByName(cell)
		if !ok {
			return errKind
		}
		r.Request.Kind = k
		if k == Grow {
			r.Request.From = PageSize
		}
		return nil
	case "allowed":
		r.Allowed = cell == "yes"
		if cell != "yes" && cell != "no" {
			return errAllowed
		}
		return nil
	case "note":
		r.Note = cell
		return nil
	}
	field := r.number(column)
	if field == nil {
		return nil
	}
	v, err := strconv.ParseUint(cell, 10, 63)
	if err != nil {
		return errNumber
	}
	*field = v
	return r.settle(column, v)
}

// number is the field of a column of numbers, nil if it is not known.
func (r *Row) number(column string) *uint64 {
	var other uint64
	switch column {
	case "ratio":
		return &r.System.Ratio
	case "kbytes":
		return &r.System.KBytes
	case "admin_reserve_kb":
		return &r.System.AdminReserve
	case "user_reserve_kb":
		return &r.System.UserReserve
	case "mem_total_kb":
		return &r.System.MemTotal
	case "swap_total_kb":
		return &r.System.SwapTotal
	case "committed_as_kb":
		return &r.System.Committed
	case "commit_limit_kb":
		return &r.CommitLimit
	case "committed_as_after_kb":
		return &r.After
	case "total_vm_pages":
		return &r.Request.TotalVM
	case "request_bytes":
		return &r.Request.Bytes
	case "mode", "hugepages_2M", "cap_sys_admin", "errno":
		return &other
	}
	return nil
}

// settle takes over the numbers that are no plain fields.
func (r *Row) settle(column string, v uint64) error {
	switch column {
	case "mode":
		if v > 2 {
			return errMode
		}
		r.System.Mode = Mode(v)
	case "hugepages_2M":
		r.System.HugeTLB = v * 2048
	case "cap_sys_admin":
		r.Request.SysAdmin = v != 0
	case "errno":
		r.Errno = int(v)
	}
	return nil
}

// Verdict is what the model says to a row.
type Verdict struct {
	Allowed     bool
	Errno       int
	CommitLimit uint64 // kB
	After       uint64 // Committed_AS after the request, kB
}

// Judge gives the model's verdict.
func (r *Row) Judge() Verdict {
	s := r.System
	v := Verdict{Allowed: true, CommitLimit: s.Limit() * 4}
	if err := s.Allow(&r.Request); err != nil {
		v.Allowed, v.Errno = false, 12
	}
	v.After = s.Committed
	if r.Request.Kind == Grow && !v.Allowed {
		// The program that made the tables unmaps the old mapping before it
		// reads Committed_AS.
		v.After -= min(v.After, pages(r.Request.From)*(PageSize/1024))
	}
	return v
}
