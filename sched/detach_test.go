package sched

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// detachCase is a CPU with tasks, from which another one's balancing takes some.
// testdata/README.md describes the file.
type detachCase struct {
	s   *Sim
	e   lbEnv
	st  domainState
	ids []TaskID
}

func (c *detachCase) read(t *testing.T, in io.Reader) bool {
	var word string
	if _, err := fmt.Fscan(in, &word); err != nil {
		return false
	}
	s, err := NewSim(SimConfig{Config: Config{CPUs: 4, Profile: Linux6_1, LoadTracking: true}, Topology: Topology{SMT: 2, LLC: 4}})
	require.NoError(t, err)
	*c = detachCase{s: s}
	s.now = 1_000_000_000
	s.clock(2)
	var n, smt, run, next, last int
	var dst CPU
	var running uint32
	var cpus uint64
	c.e.other, c.e.src, c.e.allPinned = -1, 2, true
	scan(t, in, &n, &smt, &dst, &running, &c.e.idle, &c.st.failed, &c.e.imbalance, &cpus, &c.e.kind)
	c.e.level, c.e.dst, c.e.loopMax = 1-smt, dst, min(n, nrMigrate)
	c.e.d = &s.levels[c.e.level]
	c.e.local, c.e.skip = dst-dst%CPU(c.e.d.group), CPUMask{^cpus & 15}
	s.m.rqs[dst].nrRunning = running
	rq, q := &s.m.rqs[2], s.rootQueue(2)
	var load uint64
	scan(t, in, &run, &next, &last, &load)
	for range n {
		c.readTask(t, in)
	}
	q.avg.load, q.avg.lastUpdate, q.hLoad, q.hLoadTick = load, s.m.queuePelt(q), load, s.tickOf()+1
	s.m.fair.setNextTask(rq, c.ids[run])
	s.m.ents[s.m.tasks[c.ids[run]].se].execStart = 0
	rq.curr = c.ids[run]
	if next >= 0 {
		q.next = s.m.tasks[c.ids[next]].se
	}
	if last >= 0 {
		q.last = s.m.tasks[c.ids[last]].se
	}
	return true
}

func (c *detachCase) readTask(t *testing.T, in io.Reader) {
	s := c.s
	id, err := s.Spawn(TaskSpec{CPUs: MaskOf(2), Start: s.now, Program: Program{Compute(1)}})
	require.NoError(t, err)
	require.NoError(t, s.k.Enqueue(id, EnqueueNoClock))
	se := &s.m.ents[s.m.tasks[id].se]
	var mask uint64
	scan(t, in, &mask, &se.avg.load, &se.avg.util, &se.estAverage, &se.execStart, &s.m.tasks[id].policy)
	s.tasks[id].cpus = CPUMask{mask}
	se.avg.lastUpdate = s.m.queuePelt(s.rootQueue(2))
	s.m.tasks[id].state = StateRunning
	c.ids = append(c.ids, id)
}

// list is the recent tasks of a CPU, the first one first.
func (c *detachCase) list(cpu CPU, backwards bool) string {
	var out string
	for t := c.s.m.recent[cpu].first; t >= 0; t = c.s.m.tasks[t].lessRecent {
		word := fmt.Sprintf(" %d", t-c.ids[0])
		if backwards {
			out = word + out
		} else {
			out += word
		}
	}
	return out
}

// TestDetachAsKernel compares which tasks a balancing takes, and in which order, with
// what 6.1's own functions did on random states.
func TestDetachAsKernel(t *testing.T) {
	in := golden(t, "detach-6.1.192")
	var c detachCase
	n := 0
	for ; c.read(t, in); n++ {
		dst, moved := c.e.dst, 0
		if len(c.ids) > 1 {
			moved = c.s.detach(&c.e, &c.st)
		}
		require.NoError(t, c.s.failed)
		_, err := in.ReadString('\n')
		require.NoError(t, err)
		want, err := in.ReadString('\n')
		require.NoError(t, err)
		got := fmt.Sprintf("= %d %d %d %d %d%s |%s\n", moved, c.e.imbalance, b2u(c.e.allPinned), b2u(c.e.somePinned), c.e.other, c.list(dst, true), c.list(2, false))
		require.Equal(t, want, got, "case %d", n)
	}
	require.Greater(t, n, 300)
}
