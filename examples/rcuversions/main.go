// Command rcuversions shows what RCU's readers see while an updater replaces an
// object: which reader sees which version, how long the grace period lasts, and when
// the old version is freed. The model of package rcu runs it; nothing is drawn that
// did not happen there.
//
// Four readers, one on each of CPUs 0 to 3; an updater on CPU 4 makes a copy, changes
// it, publishes it (rcu_assign_pointer) and asks for the old one to be freed after a
// grace period (call_rcu). A reader keeps the version that it read until it leaves: one
// that began before the publication may go on with the old version long after, and the
// grace period waits for it; one that begins later sees the new version and is not
// waited for.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/sync/rcu"
)

// reader is inside from start, reads the pointer one step later, and leaves at end.
type reader struct {
	name       string
	start, end int
}

var readers = []reader{
	{"reader 1", 1, 6},
	{"reader 2", 4, 17},
	{"reader 3", 7, 13},
	{"reader 4", 15, 26},
}

const (
	// updater is the updater's CPU; publishAt is when it publishes.
	updater   = 4
	publishAt = 9
	steps     = 30
)

// Versions of the object.
const (
	oldVersion = 1
	newVersion = 2
)

// history is what happened: for each step and reader the version that it has read (0:
// none yet, -1: outside), and the moments of the update.
type history struct {
	sees [][]int
	// published, freed and the grace period's first and last step.
	published, began, ended, freed int
	// stale counts uses of a freed version: there must be none.
	stale int
}

func main() {
	svg := flag.String("svg", "", "write the drawing to `FILE`")
	flag.Parse()
	h, err := run(readers)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(h)
	if *svg != "" {
		if err := os.WriteFile(*svg, []byte(h.svg()), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// run runs the readers and the updater.
func run(readers []reader) (*history, error) {
	h := &history{began: -1, ended: -1, freed: -1}
	now, pointer := 0, oldVersion
	freed := map[int]bool{}
	m, err := rcu.New(rcu.Config{
		CPUs: updater + 1,
		Invoke: func(_ int, version uint64) {
			freed[int(version)] = true
			h.freed = now
		},
		Emit: func(e *rcu.Event) {
			if e.Name != "rcu_grace_period" {
				return
			}
			switch e.Args[2] {
			case "start":
				h.began = now
			case "end":
				h.ended = now
			}
		},
	})
	if err != nil {
		return nil, err
	}
	sees := make([]int, len(readers))
	for i := range readers {
		sees[i] = -1
		if err := m.Run(i, i); err != nil {
			return nil, err
		}
	}
	for now = range steps {
		for i, r := range readers {
			switch {
			case now == r.start:
				sees[i] = 0
				err = m.ReadLock(i, i)
			case now == r.start+1:
				sees[i] = pointer // rcu_dereference
			case now == r.end:
				sees[i] = -1
				err = m.ReadUnlock(i, i)
			}
			if err != nil {
				return nil, err
			}
			if freed[sees[i]] {
				h.stale++
			}
		}
		if now == publishAt {
			pointer, h.published = newVersion, now
			if err := m.CallRCU(updater, oldVersion); err != nil {
				return nil, err
			}
		}
		for cpu := range updater + 1 {
			m.Core(cpu)
			m.Tick(cpu)
			m.Core(cpu)
		}
		m.GracePeriod(updater)
		h.sees = append(h.sees, slices.Clone(sees))
	}
	return h, m.Check()
}

// marks of what a reader has read.
var marks = map[int]byte{-1: ' ', 0: '-', oldVersion: 'o', newVersion: 'n'}

// String prints a line for each reader and for the update.
func (h *history) String() string {
	var b strings.Builder
	for i, r := range readers {
		line := make([]byte, steps)
		for now := range steps {
			line[now] = marks[h.sees[now][i]]
		}
		fmt.Fprintf(&b, "%10s |%s|\n", r.name, line)
	}
	line := []byte(strings.Repeat(" ", steps))
	for now := h.began; now <= h.ended; now++ {
		line[now] = 'g'
	}
	line[h.published] = 'P'
	line[h.freed] = 'F'
	fmt.Fprintf(&b, "%10s |%s|\n", "update", line)
	b.WriteString("inside: - nothing read yet, o the old version, n the new one; P published, g grace period, F old version freed\n")
	return b.String()
}
