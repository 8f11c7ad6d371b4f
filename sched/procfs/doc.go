// Package procfs has the scheduler's texts: /proc/PID/sched, /proc/PID/stat and
// status, /proc/schedstat and /sys/kernel/debug/sched/debug. It reads what
// kernels print and writes it again to the byte, and prints simulations in the
// forms of Linux 6.1 and 6.12.
//
// The forms mirror kernel/sched/debug.c, kernel/sched/stats.c and
// fs/proc/array.c. Times are nanoseconds; where the kernel prints milliseconds
// with six decimals, it prints them as two integers, so that the sign of a time
// between -1 ms and 0 is lost: "0.000001" is also what a queue without tasks
// shows for -1.
//
// What a simulation does not know is 0: the clock's drift between two readings,
// NUMA counters, the cause of a failed migration, user and system time apart
// (all time counts as user time).
package procfs

import (
	"fmt"
	"strconv"
)

// Line is a named figure.
type Line struct {
	Name string
	// Text is the value as printed.
	Text string
}

// Int gives the value of a line: a number, or nanoseconds if it is printed as
// milliseconds; false if it is neither.
func (l Line) Int() (int64, bool) {
	n, _, ok := parseValue(l.Text)
	return n, ok
}

// Int makes a line of a number.
func Int[T ~int | ~int32 | ~int64 | ~uint32 | ~uint64 | ~uint8](name string, n T) Line {
	return Line{name, strconv.FormatInt(int64(n), 10)}
}

// NS makes a line of a time.
func NS[T ~int64 | ~uint64](name string, ns T) Line { return Line{name, millis(int64(ns))} }

// millis prints nanoseconds as the kernel does (SPLIT_NS): the sign belongs to
// the whole milliseconds alone.
func millis(ns int64) string {
	high, low := ns/1_000_000, ns%1_000_000
	if low < 0 {
		low = -low
	}
	return fmt.Sprintf("%d.%06d", high, low)
}

// parseValue reads a number or a time.
func parseValue(s string) (n int64, ns, ok bool) {
	dot := len(s) - 7
	if dot > 0 && s[dot] == '.' {
		high, err := strconv.ParseInt(s[:dot], 10, 64)
		low, err2 := strconv.ParseUint(s[dot+1:], 10, 32)
		if err != nil || err2 != nil || high > 1<<43 || high < -1<<43 {
			return 0, false, false
		}
		if s[0] == '-' {
			return high*1_000_000 - int64(low), true, true
		}
		return high*1_000_000 + int64(low), true, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, false, err == nil
}

// ParseError says what in a text cannot be read.
type ParseError struct {
	File        string
	Line        int // from 1
	Found, Want string
}

// Error names file, line, what was found and what was expected.
func (e *ParseError) Error() string {
	return fmt.Sprintf("procfs: %s:%d: found %.80q, want %s", e.File, e.Line, e.Found, e.Want)
}

// Form is a kernel's way to print.
type Form uint8

// Forms.
const (
	Linux6_1  Form = iota // CFS
	Linux6_12             // EEVDF, as Debian's 6.12.117 prints it
)
