package sched

import (
	"math/bits"
	"strconv"
	"strings"
)

// Lists of CPUs as the kernel reads and prints them ("0-3,5").

// CPUListError says what is wrong with a list of CPUs.
type CPUListError struct {
	Text  string // the list
	At    int    // byte of it
	Errno string // "EINVAL", "ERANGE" (a CPU that the machine does not have), "EOVERFLOW"
}

// Error names list, place and errno.
func (e *CPUListError) Error() string {
	return "sched: list of CPUs " + strconv.Quote(e.Text) + ", byte " + strconv.Itoa(e.At) + `: ` + e.Errno + `: want such as "0-3,5" or "0-31:2/4"`
}

// ParseCPUList reads a list of CPUs of a machine with a number of them, at most 8192:
// numbers and ranges with commas or blanks between, "all", "N" for the last CPU, and
// ranges of which the first of each group count ("0-31:2/4"). An empty text is no CPU
// (bitmap_parselist).
func ParseCPUList(text string, cpus int) (CPUMask, error) {
	if cpus < 1 || cpus > maxCPUs {
		return nil, &ConfigError{Field: "CPUs", Value: int64(cpus), Want: "1 to 8192"}
	}
	p := listParser{text: text, last: uint64(cpus - 1)}
	m := make(CPUMask, (cpus+63)/64)
	for p.region() {
		first, end, off, group, errno := p.read()
		switch {
		case errno != "":
		case first > end || group == 0 || off > group:
			errno = "EINVAL"
		case end > p.last:
			errno = "ERANGE"
		}
		if errno != "" {
			return nil, &CPUListError{Text: text, At: p.at, Errno: errno}
		}
		for from := first; from <= end; from += group {
			for c := from; c < from+off && c <= end; c++ {
				m[c/64] |= 1 << (c % 64)
			}
		}
	}
	return m, nil
}

type listParser struct {
	text string
	at   int
	last uint64
}

// peek is the byte to come, 0 at the end, which a line's is, too.
func (p *listParser) peek() byte {
	if p.at < len(p.text) && p.text[p.at] != '\n' {
		return p.text[p.at]
	}
	return 0
}

func (p *listParser) separator() bool { return strings.IndexByte(" \t\v\f\r,", p.peek()) >= 0 }

// region goes to the next part of the list.
func (p *listParser) region() bool {
	for p.separator() {
		p.at++
	}
	return p.peek() != 0
}

// read reads a part: from first to end, of each group of CPUs off.
func (p *listParser) read() (first, end, off, group uint64, errno string) {
	if rest := p.text[p.at:]; len(rest) >= 3 && strings.EqualFold(rest[:3], "all") {
		p.at += 3
		end = p.last
	} else {
		if first, errno = p.number(); errno != "" {
			return
		}
		end = first
		if p.peek() == 0 || p.separator() {
			return first, end, end + 1, end + 1, ""
		}
		if p.peek() != '-' {
			return 0, 0, 0, 0, "EINVAL"
		}
		p.at++
		if end, errno = p.number(); errno != "" {
			return
		}
	}
	if p.peek() == 0 || p.separator() {
		return first, end, end + 1, end + 1, ""
	}
	if p.peek() != ':' {
		return 0, 0, 0, 0, "EINVAL"
	}
	p.at++
	if off, errno = p.number(); errno != "" {
		return
	}
	if p.peek() != '/' {
		return 0, 0, 0, 0, "EINVAL"
	}
	p.at++
	group, errno = p.number()
	return
}

func (p *listParser) number() (n uint64, errno string) {
	if p.peek() == 'N' {
		p.at++
		return p.last, ""
	}
	from := p.at
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		if n = n*10 + uint64(c-'0'); n >= 1<<32-1 {
			return 0, "EOVERFLOW"
		}
		p.at++
	}
	if p.at == from {
		return 0, "EINVAL"
	}
	return n, ""
}

// String is the list of the set's CPUs, "0-3,5"; that of all is "all".
func (m CPUMask) String() string {
	if m == nil {
		return "all"
	}
	var b []byte
	for c := m.next(0); c >= 0; {
		end := c
		for m.Has(CPU(end + 1)) {
			end++
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(c), 10)
		if end > c {
			b = strconv.AppendInt(append(b, '-'), int64(end), 10)
		}
		c = m.next(end + 1)
	}
	return string(b)
}

// next is the first CPU of a set from one on, -1 if there is none.
func (m CPUMask) next(c int) int {
	for ; c < 64*len(m); c = (c/64 + 1) * 64 {
		if w := m[c/64] >> (c % 64); w != 0 {
			return c + bits.TrailingZeros64(w)
		}
	}
	return -1
}
