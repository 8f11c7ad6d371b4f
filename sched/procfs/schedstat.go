package procfs

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Schedstat is a /proc/schedstat.
type Schedstat struct {
	Version   int // 15 up to 6.8, 16 up to 6.14, 17 from then on
	Timestamp uint64
	CPUs      []SchedstatCPU
}

// SchedstatCPU is a CPU's line and those of its scheduling domains.
type SchedstatCPU struct {
	CPU int
	// Yields, Schedules, ToIdle, Wakeups, LocalWakeups; then ns that tasks ran,
	// ns that they waited for the CPU, and how many turns they had.
	Yields, Schedules, ToIdle, Wakeups, LocalWakeups uint64
	Run, Wait, Turns                                 uint64
	Domains                                          []SchedstatDomain
}

// SchedstatDomain is a scheduling domain's line.
type SchedstatDomain struct {
	Title string // "domain0 f": with version 17 its name stands between
	// Counters: 36 up to version 16 (three times eleven or twelve of balancing
	// by idleness, then active balancing and wake-ups).
	Counters []uint64
}

// WriteTo writes the text (show_schedstat).
func (s *Schedstat) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version %d\ntimestamp %d\n", s.Version, s.Timestamp)
	for i := range s.CPUs {
		c := &s.CPUs[i]
		// The second number is of an array that is no more.
		fmt.Fprintf(&b, "cpu%d %d 0 %d %d %d %d %d %d %d\n", c.CPU, c.Yields, c.Schedules, c.ToIdle, c.Wakeups, c.LocalWakeups, c.Run, c.Wait, c.Turns)
		for _, d := range c.Domains {
			b.WriteString(d.Title)
			for _, n := range d.Counters {
				fmt.Fprintf(&b, " %d", n)
			}
			b.WriteByte('\n')
		}
	}
	return b.WriteTo(w)
}

// ReadSchedstat reads the text. file is its name for errors, which are the
// reader's or a ParseError.
func ReadSchedstat(r io.Reader, file string) (*Schedstat, error) {
	in := newLineReader(r, file)
	s := &Schedstat{}
	if !in.next() {
		return nil, in.end(`"version n"`)
	}
	if n, err := fmt.Sscanf(in.text, "version %d", &s.Version); n != 1 || err != nil {
		return nil, in.bad(`"version n"`)
	}
	if !in.next() {
		return nil, in.end(`"timestamp n"`)
	}
	if n, err := fmt.Sscanf(in.text, "timestamp %d", &s.Timestamp); n != 1 || err != nil {
		return nil, in.bad(`"timestamp n"`)
	}
	for in.next() {
		fields := strings.Fields(in.text)
		switch {
		case len(fields) == 10 && strings.HasPrefix(fields[0], "cpu"):
			var c SchedstatCPU
			var zero uint64
			cpu, err := strconv.ParseUint(fields[0][3:], 10, 31)
			ok := err == nil
			for i, p := range []*uint64{&c.Yields, &zero, &c.Schedules, &c.ToIdle, &c.Wakeups, &c.LocalWakeups, &c.Run, &c.Wait, &c.Turns} {
				*p, err = strconv.ParseUint(fields[i+1], 10, 64)
				ok = ok && err == nil
			}
			if !ok || zero != 0 {
				return nil, in.bad(`"cpuN" and nine numbers, the second 0`)
			}
			c.CPU = int(cpu)
			s.CPUs = append(s.CPUs, c)
		case len(fields) > 2 && strings.HasPrefix(fields[0], "domain") && len(s.CPUs) > 0:
			d := SchedstatDomain{Title: fields[0] + " " + fields[1]}
			rest := fields[2:]
			if s.Version >= 17 && len(rest) > 0 {
				d.Title, rest = d.Title+" "+rest[0], rest[1:]
			}
			for _, f := range rest {
				n, err := strconv.ParseUint(f, 10, 64)
				if err != nil {
					return nil, in.bad("a domain's counters")
				}
				d.Counters = append(d.Counters, n)
			}
			c := &s.CPUs[len(s.CPUs)-1]
			c.Domains = append(c.Domains, d)
		default:
			return nil, in.bad("a CPU or a domain")
		}
	}
	if err := in.s.Err(); err != nil {
		return nil, in.end("")
	}
	return s, nil
}
