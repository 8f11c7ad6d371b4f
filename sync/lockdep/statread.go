package lockdep

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// StatRow is a row of /proc/lock_stat: a lock class, or its writers ("-W") or
// readers ("-R").
type StatRow struct {
	Name string
	// Bounced counts waits, Moved acquisitions, of a lock that another CPU had
	// last (con-bounces, acq-bounces).
	Bounced, Moved uint64
	Wait, Hold     LockTime
}

// StatError is a line of a lock_stat text that cannot be read.
type StatError struct {
	Name string
	Line int
	What string
}

func (e *StatError) Error() string {
	return fmt.Sprintf("%s:%d: lock_stat: %s", e.Name, e.Line, e.What)
}

// ErrNoLockStat says that a text is no /proc/lock_stat.
var ErrNoLockStat = errors.New(`no lock_stat: its first line is not "lock_stat version 0.3" or "0.4"`)

// statColumns are the numbers of a row.
const statColumns = 12

// ReadLockStat reads what /proc/lock_stat prints, rows alone: the places that
// waited are passed over. Times are cut to 10 ns there, so that a mean is only
// as good. name is for errors: [*StatError], [ErrNoLockStat], or the reader's.
func ReadLockStat(r io.Reader, name string) ([]StatRow, error) {
	in := bufio.NewScanner(r)
	if !in.Scan() || !strings.HasPrefix(in.Text(), "lock_stat version 0.") {
		if err := in.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return nil, fmt.Errorf("%s: %w", name, ErrNoLockStat)
	}
	var rows []StatRow
	for line := 2; in.Scan(); line++ {
		text := in.Text()
		// A class's name may hold colons and spaces; the numbers come after the
		// last colon. Other lines (rules, headings, places) have none, or not as
		// many numbers.
		i := strings.LastIndexByte(text, ':')
		if i < 0 {
			continue
		}
		f := strings.Fields(text[i+1:])
		if len(f) != statColumns {
			continue
		}
		row := StatRow{Name: strings.TrimSpace(text[:i])}
		if err := row.read(f); err != nil {
			return nil, &StatError{name, line, err.Error()}
		}
		rows = append(rows, row)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}

func (s *StatRow) read(f []string) error {
	for _, part := range []struct {
		bounced *uint64
		t       *LockTime
		f       []string
	}{{&s.Bounced, &s.Wait, f[:6]}, {&s.Moved, &s.Hold, f[6:]}} {
		var err error
		if *part.bounced, err = strconv.ParseUint(part.f[0], 10, 64); err != nil {
			return err
		}
		if part.t.N, err = strconv.ParseUint(part.f[1], 10, 64); err != nil {
			return err
		}
		for i, v := range []*int64{&part.t.Min, &part.t.Max, &part.t.Total} {
			if *v, err = readMicroseconds(part.f[2+i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readMicroseconds reads "12.34" as ns.
func readMicroseconds(s string) (int64, error) {
	whole, part, ok := strings.Cut(s, ".")
	if !ok || len(part) != 2 {
		return 0, fmt.Errorf("%q is no time in us with two decimals", s)
	}
	us, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(part, 10, 8)
	if err != nil {
		return 0, err
	}
	const most = 1<<63/1000 - 1
	if us < 0 || us >= most {
		return 0, fmt.Errorf("%q us is out of range", s)
	}
	return us*1000 + int64(n)*10, nil
}
