package lock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestContextReports: the first lines of reports that a 6.1 kernel printed about a
// module's deliberate mistakes.
func TestContextReports(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(*Context) error
		at   Context
		want string
	}{
		{"kmalloc with interrupts off", func(c *Context) error { return c.MightSleep("include/linux/sched/mm.h:274") },
			Context{Comm: "sh", PID: 50, IRQsOff: true},
			"BUG: sleeping function called from invalid context at include/linux/sched/mm.h:274\nin_atomic(): 0, irqs_disabled(): 1, non_block: 0, pid: 50, name: sh\npreempt_count: 0, expected: 0\nRCU nest depth: 0, expected: 0\n"},
		{"page fault in a reader", func(c *Context) error { return c.MightSleep("mm/memory.c:5322") },
			Context{Comm: "sh", PID: 46, RCU: 1},
			"BUG: sleeping function called from invalid context at mm/memory.c:5322\nin_atomic(): 0, irqs_disabled(): 0, non_block: 0, pid: 46, name: sh\npreempt_count: 0, expected: 0\nRCU nest depth: 1, expected: 0\n"},
		{"schedule with preemption off", (*Context).Schedule, Context{Comm: "sh", PID: 46, Preempt: 1},
			"BUG: scheduling while atomic: sh/46/0x00000002\n"},
		{"msleep in a reader", (*Context).Schedule, Context{Comm: "sh", PID: 62, RCU: 1},
			"Voluntary context switch within RCU read-side critical section!\n"},
		{"smp_processor_id", func(c *Context) error { return c.ThisCPU("smp_processor_id()") }, Context{Comm: "sh", PID: 199},
			"BUG: using smp_processor_id() in preemptible [00000000] code: sh/199\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := c.at
			var e *ContextError
			require.ErrorAs(t, c.run(&at), &e)
			require.Equal(t, c.want, e.Text)
			require.Equal(t, c.at, at)
		})
	}
}

// TestMayTake: which locks may be taken inside which, with and without PREEMPT_RT.
func TestMayTake(t *testing.T) {
	for _, c := range []struct {
		outer, inner Kind
		plain, rt    bool
	}{
		{SpinKind, SpinKind, true, true},
		{SpinKind, MutexKind, false, true},
		{RawSpinKind, SpinKind, true, false},
		{RawSpinKind, RawSpinKind, true, true},
		{RawSpinKind, MutexKind, false, false},
		{MutexKind, SpinKind, true, true},
		{LocalLockKind, RWSemKind, false, true},
		{RWSemKind, SemaphoreKind, true, true},
	} {
		for rt, want := range map[bool]bool{false: c.plain, true: c.rt} {
			at := Context{Comm: "t", PID: 1}
			require.NoError(t, at.Take(c.outer, rt, "a.c:1"))
			require.Equal(t, want, at.Take(c.inner, rt, "a.c:2") == nil, "%d in %d, RT %v", c.inner, c.outer, rt)
		}
	}
	reader := Context{RCU: 1}
	require.Error(t, reader.Take(MutexKind, true, "a.c:1"))
	require.NoError(t, reader.Take(SpinKind, true, "a.c:1"))
	reader.Release(SpinKind, true)
	handler := Context{Hardirq: true}
	require.Equal(t, 1<<16, handler.PreemptCount())
	require.NoError(t, handler.Take(SpinKind, false, "a.c:1"))
	handler.Release(SpinKind, false)
	require.Equal(t, 1<<16, handler.PreemptCount())
	require.NoError(t, handler.ThisCPU("x"))
	require.NoError(t, (&Context{}).Schedule())
}
