package sched

import (
	"bufio"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// placementCase is a machine in some state, as the kernel's functions were given
// it. testdata/README.md describes the file.
type placementCase struct {
	s   *Sim
	ids []TaskID
}

// read sets up a machine's state.
func (c *placementCase) read(t *testing.T, in io.Reader) bool {
	var smt, llc, node, cpus int
	var jiffies uint64
	if _, err := fmt.Fscan(in, &smt, &llc, &node, &cpus, &jiffies); err != nil {
		return false
	}
	s, err := NewSim(SimConfig{Config: Config{CPUs: cpus, Profile: Linux6_1, LoadTracking: true}, Topology: Topology{SMT: smt, LLC: llc, Node: node}})
	require.NoError(t, err)
	s.now = jiffies * s.tick
	*c = placementCase{s: s}
	for range 6 {
		id, err := s.Spawn(TaskSpec{Comm: "t", Program: Program{Compute(1)}, Start: s.now})
		require.NoError(t, err)
		c.ids = append(c.ids, id)
	}
	var word string
	var numa int
	scan(t, in, &word, &numa)
	for level := range s.levels {
		s.levels[level].imbNUMA = numa
		for first := 0; level > 0 && first < cpus; first += s.levels[level].group {
			var on int
			scan(t, in, &on)
			s.domainOf(CPU(first), level-1).imbalance = on == 1
		}
	}
	for cpu := range CPU(cpus) {
		c.readCPU(t, in, cpu)
	}
	for i := range s.caches {
		var cores int
		scan(t, in, &cores, &s.caches[i].scan)
		s.caches[i].idleCores = cores == 1
	}
	for _, id := range c.ids {
		c.readTask(t, in, id)
	}
	return true
}

func (c *placementCase) readCPU(t *testing.T, in io.Reader, cpu CPU) {
	rq, q, w := &c.s.m.rqs[cpu], c.s.rootQueue(cpu), &c.s.wakes[cpu]
	var running int
	var since, capacity uint64
	scan(t, in, &running, &rq.nrRunning, &q.hNrRunning, &q.idleHNrRunning, &q.avg.load, &q.avg.util, &q.avg.runnable, &rq.estimate, &since, &capacity, &w.flips)
	q.hNrQueued = q.hNrRunning
	c.s.cpus[cpu].idleAt = since - 1
	rq.avgRT.util = fullCapacity - capacity
	if running == 1 {
		rq.curr = c.ids[5]
	}
}

func (c *placementCase) readTask(t *testing.T, in io.Reader, id TaskID) {
	task, w := &c.s.m.tasks[id], &c.s.wakes[id]
	se := &c.s.m.ents[task.se]
	var mask uint64
	var last int
	scan(t, in, &mask, &task.cpu, &se.avg.load, &se.avg.util, &w.flips, &w.decayed, &last, &w.recent)
	c.s.tasks[id].cpus = CPUMask{mask}
	se.queue = c.s.m.rqs[task.cpu].root
	w.lastWakee = NoTask
	if last >= 0 {
		w.lastWakee = c.ids[last]
	}
}

// place wakes a task or begins a new one and says where it comes, and what the
// waker and the caches know then.
func (c *placementCase) place(op string, task, from, sync int) string {
	id := c.ids[task]
	who := id
	var cpu CPU
	if op == "fork" {
		cpu = c.s.placeNew(id, CPU(from))
	} else {
		who = c.s.m.rqs[from].curr
		if sync == 1 {
			c.s.m.ents[c.s.m.tasks[who].se].queue = c.s.m.rqs[from].root
		}
		cpu = c.s.placeWoken(id, CPU(from), c.s.m.tasks[id].cpu, sync == 1)
	}
	last := -1
	for i, id := range c.ids {
		if c.s.wakes[who].lastWakee == id {
			last = i
		}
	}
	out := fmt.Sprintf("= %d %d %d %d %d", cpu, c.s.wakes[who].flips, c.s.wakes[who].decayed, last, c.s.wakes[id].recent)
	for i := range c.s.caches {
		out += fmt.Sprintf(" %d", b2u(c.s.caches[i].idleCores))
	}
	return out + "\n"
}

// TestPlacementAsKernel compares where woken and new tasks come, how far a search
// goes and what tasks are estimated to use with what 6.1's own functions decided on
// random states.
func TestPlacementAsKernel(t *testing.T) {
	require.Greater(t, comparePlacements(t, golden(t, "placement-6.1.192")), 500)
}

// TestSyncTie: where both CPUs have the same load, a waker that is about to sleep
// draws the task to its own.
func TestSyncTie(t *testing.T) {
	s, err := NewSim(SimConfig{Config: Config{CPUs: 2, Profile: Linux6_1, LoadTracking: true}})
	require.NoError(t, err)
	var ids []TaskID
	for range 2 {
		id, err := s.Spawn(TaskSpec{Program: Program{Compute(1)}})
		require.NoError(t, err)
		s.m.ents[s.m.tasks[id].se].avg.load = 0
		ids = append(ids, id)
	}
	s.m.rqs[0].curr = ids[1]
	require.True(t, s.lighterHere(ids[0], 0, 1, true))
	require.False(t, s.lighterHere(ids[0], 0, 1, false))
}

func comparePlacements(t *testing.T, in *bufio.Reader) (n int) {
	var c placementCase
	for ; ; n++ {
		var op string
		if _, err := fmt.Fscan(in, &op); err != nil {
			return n
		}
		switch op {
		case "case":
			require.True(t, c.read(t, in))
		case "wake", "fork":
			var task, from, sync int
			scan(t, in, &task, &from, &sync)
			want, err := in.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, want, " "+c.place(op, task, from, sync), "decision %d: %s %d from %d, sync %d", n, op, task, from, sync)
		case "scan":
			var cpu CPU
			var util uint64
			var want int
			scan(t, in, &cpu, &util, &op, &want)
			level := 0
			for level+1 < len(c.s.levels) && c.s.levels[level+1].sharesCache() {
				level++
			}
			c.s.limitSearch(&lbEnv{d: &c.s.levels[level], dst: cpu}, util)
			require.Equal(t, want, c.s.cacheOf(cpu).scan, "decision %d", n)
		case "est":
			var util uint64
			var last, average uint32
			se := &c.s.m.ents[c.s.m.tasks[c.ids[0]].se]
			scan(t, in, &util, &se.estLast, &se.estAverage, &op, &last, &average)
			was := se.avg.util
			se.avg.util = util
			c.s.m.estimateUpdate(c.ids[0])
			require.Equal(t, [2]uint32{last, average}, [2]uint32{se.estLast, se.estAverage}, "decision %d", n)
			se.avg.util = was
		case "est12":
			var se entity
			var want uint32
			var used uint32
			scan(t, in, &used, &se.avg.runnable, &se.estAverage, &op, &want)
			se.estimateAverage(used)
			require.Equal(t, want, se.estAverage, "decision %d", n)
		default:
			require.Fail(t, "unknown word", op)
		}
	}
}
