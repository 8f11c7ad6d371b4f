package sched

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// rtCase is a machine with what runs on its CPUs, as the kernel's functions were given
// it. testdata/README.md describes the file.
type rtCase struct {
	s    *Sim
	task TaskID
	runs []TaskID // by CPU
}

func newRTCase(t *testing.T, smt, llc, node, cpus int) *rtCase {
	s, err := NewSim(SimConfig{Config: Config{CPUs: cpus, Profile: Linux6_1}, Topology: Topology{SMT: smt, LLC: llc, Node: node}})
	require.NoError(t, err)
	c := &rtCase{s: s}
	for cpu := range cpus + 1 {
		id, err := s.Spawn(TaskSpec{Comm: "t", Program: Program{Compute(1)}})
		require.NoError(t, err)
		c.runs = append(c.runs, id)
		if cpu < cpus {
			s.m.rqs[cpu].curr = id
		}
	}
	c.task = c.runs[cpus]
	return c
}

// running gives what runs on a CPU its class: a deadline task, the most important
// real-time one, or none.
func (c *rtCase) running(cpu CPU) {
	rq, task := &c.s.m.rqs[cpu], &c.s.m.tasks[c.runs[cpu]]
	switch prio := rq.rt.highest(); {
	case rq.dl.nrRunning > 0:
		task.class, task.prio, task.dl.deadline = ClassDeadline, -1, rq.dl.earliest
	case prio < maxRTPrio:
		task.class, task.prio = ClassRT, int16(prio)
	default:
		task.class, task.prio = ClassFair, maxPrio-20
	}
}

func (c *rtCase) place(op string, prio int, deadline uint64, at, this CPU, mask uint64, pinned bool) int {
	s, task := c.s, &c.s.m.tasks[c.task]
	task.class, task.prio, task.dl.deadline, task.cpu = ClassRT, int16(prio), deadline, at
	if prio < 0 {
		task.class = ClassDeadline
	}
	s.tasks[c.task].cpus = CPUMask{mask}
	s.tasks[c.runs[at]].cpus = nil
	if pinned {
		s.tasks[c.runs[at]].cpus = MaskOf(at)
	}
	if op == "wake" {
		return int(s.placeRT(c.task, at, this))
	}
	if to, ok := s.better(c.task, at, this); ok {
		return int(to)
	}
	return -1
}

// TestRTPlacementAsKernel compares where real-time and deadline tasks go with what
// 6.1's own functions decided on random states.
func TestRTPlacementAsKernel(t *testing.T) {
	require.Greater(t, compareRT(t, golden(t, "rtplace-6.1.192")), 500)
}

func compareRT(t *testing.T, in io.Reader) (n int) {
	var c *rtCase
	for {
		var op string
		if _, err := fmt.Fscan(in, &op); err != nil {
			return n
		}
		var cpu CPU
		switch op {
		case "case":
			var smt, llc, node, cpus int
			scan(t, in, &smt, &llc, &node, &cpus)
			c = newRTCase(t, smt, llc, node, cpus)
			continue
		case "prio":
			var prio int
			scan(t, in, &cpu, &prio)
			rq := &c.s.m.rqs[cpu]
			if rq.rt.bitmap = [2]uint64{}; prio >= 0 {
				rq.rt.bitmap[prio/64] = 1 << (prio % 64)
			}
		case "deadline":
			var deadline uint64
			scan(t, in, &cpu, &deadline)
			rq := &c.s.m.rqs[cpu]
			rq.dl.nrRunning, rq.dl.earliest = 1, deadline
			c.s.m.later.set(cpu, deadline)
		case "free":
			scan(t, in, &cpu)
			c.s.m.rqs[cpu].dl.nrRunning = 0
			c.s.m.later.clear(cpu)
		default:
			var prio, pinned, want int
			var deadline, mask uint64
			var at, this CPU
			var is string
			scan(t, in, &prio, &deadline, &at, &this, &mask, &pinned, &is, &want)
			require.Equal(t, want, c.place(op, prio, deadline, at, this, mask, pinned == 1), "decision %d: %s %d %d from %d by %d, mask %x", n, op, prio, deadline, at, this, mask)
			n++
			continue
		}
		c.running(cpu)
	}
}
