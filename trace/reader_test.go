package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// TestForms reads one line of each layout, with names of tasks that look like
// other parts of a line.
func TestForms(t *testing.T) {
	const event = "mm_page_free: page=00000000000016d0 pfn=0x16d0 order=0"
	page := Event{Line: 1, Kind: KindMMPageFree, Name: "mm_page_free", TGID: -1,
		Page: Page{PFN: 0x16d0, Address: 0x16d0, HasPFN: true}}
	with := func(change func(*Event)) Event {
		ev := page
		change(&ev)
		return ev
	}
	tests := []struct {
		name string
		line string
		want Event
	}{
		{"tracefs", "              sh-149     [002] d..1.    43.996563: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "sh", 149, 2, FlagsOf("d..1."), 43_996_563_000
			})},
		{"idle", "          <idle>-0       [000] dNh2. 10000.000001: " + event,
			with(func(ev *Event) { ev.Comm, ev.Flags, ev.Time = "<idle>", FlagsOf("dNh2."), 10_000_000_001_000 })},
		{"four columns", "           <...>-149   [002] d..1    43.996563: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "<...>", 149, 2, FlagsOf("d..1"), 43_996_563_000
			})},
		{"seven columns", "              sh-109     [000] dn.h3..    10.403236: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.Flags, ev.Time = "sh", 109, FlagsOf("dn.h3.."), 10_403_236_000
			})},
		{"no columns", "      trace-cmd-7215  [003] 17300.726318: " + event,
			with(func(ev *Event) { ev.Comm, ev.PID, ev.CPU, ev.Time = "trace-cmd", 7215, 3, 17_300_726_318_000 })},
		{"nanoseconds", "      trace-cmd-7215  [003] 17300.726318042: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Time, ev.Stamp = "trace-cmd", 7215, 3, 17_300_726_318_042, StampNano
			})},
		{"tgid", "              sh-149     (    148) [002] d..1.    43.996563: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.TGID, ev.CPU, ev.Flags, ev.Time = "sh", 149, 148, 2, FlagsOf("d..1."), 43_996_563_000
			})},
		{"no tgid", "              sh-149     (-------) [002] d..1.    43.996563: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "sh", 149, 2, FlagsOf("d..1."), 43_996_563_000
			})},
		{"counter", "              sh-57      [002] d....            2: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time, ev.Stamp = "sh", 57, 2, FlagsOf("d...."), 2, StampTicks
			})},
		{"latency", "rcu_tort-70        1dNh3. 10607789211us : " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "rcu_tort", 70, 1, FlagsOf("dNh3."), 10_607_789_211_000
				ev.Stamp, ev.Form = StampUsecs, FormLatency
			})},
		{"latency mark", "      sh-70       10.N... 12us+: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "sh", 70, 10, FlagsOf(".N..."), 12_000
				ev.Stamp, ev.Form = StampUsecs, FormLatency
			})},
		{"trace-cmd latency", "  <idle>-0       0d..2 54.235839: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.Flags, ev.Time, ev.Form = "<idle>", FlagsOf("d..2"), 54_235_839_000, FormLatency
			})},
		{"perf", "perf  6429 [000]    22.498450:             kmem:" + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.Time, ev.System, ev.Form = "perf", 6429, 22_498_450_000, "kmem", FormPerf
			})},
		{"perf with dashes", "     jbd2/dm-3-8  7666 [001]  4666.621521: kmem:" + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Time, ev.System, ev.Form = "jbd2/dm-3-8", 7666, 1, 4_666_621_521_000, "kmem", FormPerf
			})},
		{"perf with process", "python  1233/1234 [008] 1234567.890123456:  kmem:" + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.TGID, ev.CPU, ev.Time = "python", 1234, 1233, 8, 1_234_567_890_123_456
				ev.System, ev.Form, ev.Stamp = "kmem", FormPerf, StampNano
			})},
		{"perf without name", "            :256     256 [016] 105373.359913: kmem:" + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Time, ev.System, ev.Form = ":256", 256, 16, 105_373_359_913_000, "kmem", FormPerf
			})},
		{"plain", "979.417057183 [003] " + event,
			with(func(ev *Event) {
				ev.PID, ev.CPU, ev.Time, ev.Stamp, ev.Form = -1, 3, 979_417_057_183, StampNano, FormPlain
			})},
		{"replaced names", "        other-12 [001] .N...  3536.425749: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "other", 12, 1, FlagsOf(".N..."), 3_536_425_749_000
			})},
		{"space in name", "    tmux: server-1010  [001] 19221.278711: " + event,
			with(func(ev *Event) { ev.Comm, ev.PID, ev.CPU, ev.Time = "tmux: server", 1010, 1, 19_221_278_711_000 })},
		{"bracket in name", "    x [001] 1.0:-1010    [001] ..... 19221.278711: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "x [001] 1.0:", 1010, 1, FlagsOf("....."), 19_221_278_711_000
			})},
		{"dashes and digits in name", "  a-1 [000] 2.34-1010    [001] ..... 19221.278711: " + event,
			with(func(ev *Event) {
				ev.Comm, ev.PID, ev.CPU, ev.Flags, ev.Time = "a-1 [000] 2.34", 1010, 1, FlagsOf("....."), 19_221_278_711_000
			})},
		{"carriage return", "      trace-cmd-7215  [003] 17300.726318: " + event + "\r",
			with(func(ev *Event) { ev.Comm, ev.PID, ev.CPU, ev.Time = "trace-cmd", 7215, 3, 17_300_726_318_000 })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := readOne(t, test.line)
			require.Equal(t, "page=00000000000016d0 pfn=0x16d0 order=0", string(got.Args))
			got.Args = nil
			require.Empty(t, cmp.Diff(test.want, got))
		})
	}
}

// TestNames reads the ways in which names of events stand in a line.
func TestNames(t *testing.T) {
	const context = "              sh-149     [002] d..1.    43.996563: "
	tests := []struct {
		text   string
		kind   Kind
		system string
		name   string
		args   string
	}{
		{"tick: (scheduler_tick+0x0/0x270)", KindUnknown, "", "tick", "(scheduler_tick+0x0/0x270)"},
		{"tick:", KindUnknown, "", "tick", ""},
		{"tick: ", KindUnknown, "", "tick", ""},
		{"sched_switch:         sh:1 [120] S ==> ls:2 [120]", KindSchedSwitch, "", "sched_switch", "        sh:1 [120] S ==> ls:2 [120]"},
		{"kmem:kfree: call_site=0 ptr=0", KindKfree, "kmem", "kfree", "call_site=0 ptr=0"},
		{"kmem_kfree: call_site=0 ptr=0", KindKfree, "", "kmem_kfree", "call_site=0 ptr=0"},
		{"tracing_mark_write:  two spaces: and a colon", KindUnknown, "", "tracing_mark_write", " two spaces: and a colon"},
		{"schedule_timeout.part.0 <-rcu_gp_kthread", KindFunction, "", "function", "schedule_timeout.part.0 <-rcu_gp_kthread"},
		{"ext4_map_blocks [ext4] <-ext4_getblk [ext4]", KindFunction, "", "function", "ext4_map_blocks [ext4] <-ext4_getblk [ext4]"},
		{"sys_read(fd: 3, buf: 7ffc, count: 100)", KindSyscallEnter, "", "sys_read", "(fd: 3, buf: 7ffc, count: 100)"},
		{"sys_read -> 0x10", KindSyscallExit, "", "sys_read", "-> 0x10"},
		{"<stack trace>", KindStackTrace, "", "<stack trace>", ""},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			for _, ev := range readEvents(t, context+test.text+"\n"+context+test.text+"\n") {
				require.Equal(t, test.kind, ev.Kind)
				require.Equal(t, test.system, ev.System)
				require.Equal(t, test.name, ev.Name)
				require.Equal(t, test.args, string(ev.Args))
			}
		})
	}
}

// TestCuttings reads every trace text of testdata: the numbers of events and of
// event names are those that `grep -vc '^#'` and the like give.
func TestCuttings(t *testing.T) {
	want := map[string]struct{ events, names, unknown int }{
		"ftrace-dump-6.12.txt":    {50, 4, 0},
		"lttng-3.10.txt":          {68, 19, 0},
		"lttng-4.11.txt":          {83, 23, 4},
		"trace-cmd-4.14.txt":      {40, 1, 0},
		"tracefs-6.1-arm64.txt":   {138, 16, 0},
		"tracefs-6.1-counter.txt": {86, 18, 18},
		"tracefs-6.1-rt.txt":      {135, 48, 36},
		"tracefs-6.1-sched.txt":   {146, 38, 26},
		"tracefs-6.1-x86_64.txt":  {225, 25, 0},
		"tracefs-6.12-sched.txt":  {136, 47, 36},
		"tracefs-6.18-pages.txt":  {84, 7, 0},
		"tracefs-6.18-sched.txt":  {73, 8, 0},
		"tracefs-6.18-slab.txt":   {104, 9, 0},
	}
	for _, name := range cuttings(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r, err := NewReader(bytes.NewReader(readFile(t, name)), name)
			require.NoError(t, err)
			got := want[filepath.Base(name)]
			got.events, got.names, got.unknown = 0, 0, 0
			var ev Event
			for err = r.Read(&ev); err == nil; err = r.Read(&ev) {
				got.events++
			}
			require.Equal(t, io.EOF, err)
			for _, c := range r.Counts() {
				got.names++
				if c.Kind == KindUnknown {
					got.unknown++
				}
			}
			require.Equal(t, want[filepath.Base(name)], got)
		})
	}
}

// TestHeader reads what comment lines and trace-cmd's remarks tell.
func TestHeader(t *testing.T) {
	tests := []struct {
		text string
		want Header
	}{
		{"# tracer: nop\n#\n# entries-in-buffer/entries-written: 30031/30040   #P:4\n",
			Header{Tracer: "nop", InBuffer: 30031, Written: 30040, CPUs: 4}},
		{"#           TASK-PID    TGID     CPU#  |||||  TIMESTAMP  FUNCTION\n", Header{TGID: true}},
		{"#           TASK-PID     CPU#  |||||||  TIMESTAMP  FUNCTION\n", Header{RT: true}},
		{"version = 6\nCPU 0 is empty\ncpus=8\n\n   \n", Header{CPUs: 8}},
		{"# entries-in-buffer/entries-written: 30031   #P:4\n", Header{}},
	}
	for _, test := range tests {
		r, err := NewReader(strings.NewReader(test.text), "test")
		require.NoError(t, err)
		require.Equal(t, io.EOF, r.Read(new(Event)))
		require.Equal(t, test.want, r.Header())
	}
	h := tests[0].want
	require.EqualValues(t, 9, h.Overwritten())
}

// TestLost reads the kernel's and trace-cmd's reports of lost events.
func TestLost(t *testing.T) {
	r, err := NewReader(strings.NewReader("CPU:3 [LOST 12 EVENTS]\nCPU:1 [LOST EVENTS]\nCPU:7 [204600 EVENTS DROPPED]\nCPU:2 [EVENTS DROPPED]\n"), "test")
	require.NoError(t, err)
	r.Select(KindMMPageAlloc) // lost events come all the same
	var ev Event
	for _, want := range []struct {
		cpu  int32
		lost uint64
	}{{3, 12}, {1, 0}, {7, 204600}, {2, 0}} {
		require.NoError(t, r.Read(&ev))
		require.Equal(t, KindLost, ev.Kind)
		require.Equal(t, want.cpu, ev.CPU)
		require.Equal(t, want.lost, ev.Lost)
	}
	require.Equal(t, io.EOF, r.Read(&ev))
	require.EqualValues(t, 12+1+204600+1, r.Lost())
}

// TestStacks reads the frames behind an event, of tracefs and of perf.
func TestStacks(t *testing.T) {
	const tracefs = "              sh-149     [002] d..1.    43.996563: kfree: call_site=0 ptr=0\n" +
		"              sh-149     [002] d..1.    43.996564: <stack trace>\n => kfree\n => do_exit+0x1/0x2\n"
	const perf = "perf  6429 [000]    22.498450: kmem:kfree: call_site=0 ptr=0\n" +
		"    ffffffffbe23e32e kfree+0x22e (/lib/modules/5.1.0-rc3+/build/vmlinux)\n\t7efdf7f7d3e8 __poll+0x18 (/usr/lib64/libc-2.28.so)\n\n"
	for _, test := range []struct {
		text   string
		kinds  []Kind
		frames []string
	}{
		{tracefs, []Kind{KindKfree, KindStackTrace, KindStackFrame, KindStackFrame}, []string{"kfree", "do_exit+0x1/0x2"}},
		{perf, []Kind{KindKfree, KindStackFrame, KindStackFrame},
			[]string{"ffffffffbe23e32e kfree+0x22e (/lib/modules/5.1.0-rc3+/build/vmlinux)", "7efdf7f7d3e8 __poll+0x18 (/usr/lib64/libc-2.28.so)"}},
	} {
		var kinds []Kind
		var frames []string
		r, err := NewReader(strings.NewReader(test.text), "test")
		require.NoError(t, err)
		for {
			var ev Event // another one each time: a frame has its event's context all the same
			if err := r.Read(&ev); err == io.EOF {
				break
			} else {
				require.NoError(t, err)
			}
			kinds = append(kinds, ev.Kind)
			if ev.Kind == KindStackFrame {
				frames = append(frames, string(ev.Args))
				require.NotZero(t, ev.Time)
				require.NotZero(t, ev.PID)
				require.NotEmpty(t, ev.Comm)
				require.Zero(t, ev.Object)
			}
		}
		require.Equal(t, test.kinds, kinds)
		require.Equal(t, test.frames, frames)
	}
}

// TestReadErrors gives lines that are no known form, and says what the error
// has to name.
func TestReadErrors(t *testing.T) {
	const good = "              sh-149     [002] d..1.    43.996563: kfree: call_site=0 ptr=0\n"
	const context = "              sh-149     [002] d..1.    43.996563: "
	tests := []struct {
		text     string
		line     int
		found    string
		expected string
	}{
		{good + "nonsense\n", 2, `"nonsense"`, "an event"},
		{good + "              sh-149     [002] d..1.    43.99656: kfree: call_site=0 ptr=0\n", 2, "43.99656:", "an event"},
		{good + "              sh-149     [x02] d..1.    43.996563: kfree: call_site=0 ptr=0\n", 2, "[x02]", "an event"},
		{good + "              sh-99999999999 [002] d..1.    43.996563: kfree: call_site=0 ptr=0\n", 2, "99999999999", "an event"},
		{good + "              sh-149     [002] d..1. 99999999999999.996563: kfree: call_site=0 ptr=0\n", 2, "99999999999999.", "an event"},
		{good + context + "kfree\n", 2, `"kfree"`, "name: fields"},
		{good + context + "\n", 2, `""`, "name: fields"},
		{good + context + "kfree: ptr=0\n", 2, "ptr=0", "call_site"},
		{good + context + "kfree: call_site=0 ptr=xyz\n", 2, `"xyz" in kfree`, "an address as ptr"},
		{good + context + "mm_page_free: page=0 pfn=0x1\n", 2, "pfn=0x1", "order"},
		{good + context + "mm_page_free: page=0 pfn=1x order=0\n", 2, `"1x"`, "an unsigned number as pfn"},
		{good + context + "mm_page_free: page=0 pfn=0x1 order=4294967296\n", 2, "4294967296", "32-bit number as order"},
		{good + context + "mm_page_free: page=0 pfn=0x11111111111111111 order=0\n", 2, "0x11111111111111111", "pfn"},
		{good + context + "cache_free_bulk: cache=0x1 n=1 p=0x1\n", 2, `"0x1"`, "braces"},
		{good + context + "cache_free_bulk: cache=0x1 n=1 p={0x1,}{}\n", 2, `"}{"`, "an address"},
		{good + context + "sched_switch:  sh:1 [120] S\n", 2, "sh:1", "==>"},
		{good + context + "sched_switch:  sh:1 [120] S ==> ls\n", 2, `"ls"`, "comm:pid [prio]"},
		{good + context + "sched_wakeup:  sh:1 [120]\n", 2, "sh:1", "CPU:"},
		{good + context + "sched_stat_runtime: comm=a pid=one runtime=1 [ns]\n", 2, `"one"`, "thread's number"},
		{good + context + "sched_process_exit: comm=a pid=1 prio=1 group_dead=maybe\n", 2, `"maybe"`, "0 or 1"},
		{good + "CPU:x [LOST 12 EVENTS]\n", 2, "CPU:x", "an event"},
		{good + "CPU:1 [LOST many EVENTS]\n", 2, "LOST many", "an event"},
		{good + good[:40], 2, "end of file", "end of line"},
		{strings.Repeat("x", MaxLine+1) + "\n", 1, "a line longer than 65536 bytes", "end of line"},
		{strings.Repeat("x", 1<<20), 1, "a line longer than 65536 bytes", "end of line"},
	}
	for _, test := range tests {
		_, err := tryEvents(test.text)
		var parse *ParseError
		require.ErrorAs(t, err, &parse, test.text[:min(len(test.text), 200)])
		require.Equal(t, "test", parse.File)
		require.Equal(t, test.line, parse.Line)
		require.Contains(t, parse.Found, test.found)
		require.Contains(t, parse.Expected, test.expected)
	}
}

// TestErrorStays says that a reader stays where it failed.
func TestErrorStays(t *testing.T) {
	r, err := NewReader(strings.NewReader("nonsense\ntick: \n"), "test")
	require.NoError(t, err)
	first := r.Read(new(Event))
	require.Error(t, first)
	require.Equal(t, first, r.Read(new(Event)))
	require.Equal(t, 1, r.Line())
}

// pack compresses a text.
func pack(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// TestSources reads a text in pieces, compressed, cut and in other containers.
func TestSources(t *testing.T) {
	text := readFile(t, "testdata/tracefs-6.1-x86_64.txt")
	packed := pack(t, text)
	count := func(src io.Reader) (n int, err error) {
		r, err := NewReader(src, "test")
		if err != nil {
			return 0, err
		}
		var ev Event
		for {
			if err := r.Read(&ev); err != nil {
				return n, err
			}
			n++
		}
	}
	for _, src := range []io.Reader{
		bytes.NewReader(text), bytes.NewReader(packed), iotest.OneByteReader(bytes.NewReader(text)),
		iotest.HalfReader(bytes.NewReader(packed)), iotest.DataErrReader(bytes.NewReader(text)),
	} {
		n, err := count(src)
		require.Equal(t, io.EOF, err)
		require.Equal(t, 225, n)
	}
	for _, cut := range []int{5, 12, len(packed) / 2, len(packed) - 4} {
		_, err := count(bytes.NewReader(packed[:cut]))
		var parse *ParseError
		require.ErrorAs(t, err, &parse, "cut at %d", cut)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	broken := bytes.Clone(packed)
	broken[len(broken)/2] ^= 0xff
	_, err := count(bytes.NewReader(broken))
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)
	for _, magic := range magics {
		_, err := count(strings.NewReader(magic.bytes + "................"))
		require.ErrorContains(t, err, "found "+magic.name)
	}
	failed := errors.New("disk on fire")
	_, err = count(io.MultiReader(bytes.NewReader(text), iotest.ErrReader(failed)))
	require.ErrorIs(t, err, failed)
	require.ErrorContains(t, err, fmt.Sprintf("test:%d:", bytes.Count(text, []byte("\n"))+1))
	n, err := count(strings.NewReader(""))
	require.Equal(t, io.EOF, err)
	require.Zero(t, n)
	_, err = count(iotest.ErrReader(failed))
	require.ErrorIs(t, err, failed)
}

// stuckReader gives nothing, for ever.
type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

// TestStuckSource says that a source which gives nothing does not hang the
// reader.
func TestStuckSource(t *testing.T) {
	r, err := NewReader(io.MultiReader(strings.NewReader("# tracer: nop\n"), stuckReader{}), "test")
	if err == nil {
		err = r.Read(new(Event))
	}
	require.ErrorIs(t, err, io.ErrNoProgress)
}

// TestSelect passes over what was not selected, and still counts and checks it.
func TestSelect(t *testing.T) {
	text := readFile(t, "testdata/tracefs-6.1-x86_64.txt")
	r, err := NewReader(bytes.NewReader(text), "test")
	require.NoError(t, err)
	r.Select(KindMMPageAlloc, KindKfree)
	var kinds []Kind
	var ev Event
	for err = r.Read(&ev); err == nil; err = r.Read(&ev) {
		kinds = append(kinds, ev.Kind)
		require.Equal(t, ev.Kind == KindMMPageAlloc, ev.Page != Page{})
		require.Equal(t, ev.Kind == KindKfree, ev.Object != Object{})
	}
	require.Equal(t, io.EOF, err)
	require.Len(t, kinds, 20)
	all := uint64(0)
	for _, c := range r.Counts() {
		all += c.N
	}
	require.EqualValues(t, 225, all)
}

// TestDecode leaves the text of other events alone.
func TestDecode(t *testing.T) {
	text := "              sh-149     [002] d..1.    43.996563: kfree: nonsense\n" +
		"              sh-149     [002] d..1.    43.996563: mm_page_free: page=0 pfn=0x1 order=2\n"
	r, err := NewReader(strings.NewReader(text), "test")
	require.NoError(t, err)
	r.Decode(KindMMPageFree)
	var ev Event
	require.NoError(t, r.Read(&ev))
	require.Equal(t, KindKfree, ev.Kind)
	require.Equal(t, "nonsense", string(ev.Args))
	require.NoError(t, r.Read(&ev))
	require.Equal(t, Page{PFN: 1, Order: 2, HasPFN: true}, ev.Page)
}

// TestPayloadsAreCleared says that one Event, used again and again, never has
// what an earlier line left.
func TestPayloadsAreCleared(t *testing.T) {
	for _, name := range cuttings(t) {
		r, err := NewReader(bytes.NewReader(readFile(t, name)), name)
		require.NoError(t, err)
		var ev Event
		for i := 0; r.Read(&ev) == nil; i++ {
			alone := Event{}
			single, err := NewReader(strings.NewReader(lineOf(t, name, ev.Line)), name)
			require.NoError(t, err)
			require.NoError(t, single.Read(&alone))
			alone.Line = ev.Line
			require.Empty(t, cmp.Diff(alone, ev), "line %d of %s", ev.Line, name)
		}
	}
}

// lineOf gives one line of a file.
func lineOf(t testing.TB, name string, line int) string {
	return strings.SplitAfter(string(readFile(t, name)), "\n")[line-1]
}

// TestReadAllocatesNothing says that reading on allocates nothing once the
// names have been seen.
func TestReadAllocatesNothing(t *testing.T) {
	for _, name := range cuttings(t) {
		text := readFile(t, name)
		src := &loopReader{text: text}
		r, err := NewReader(src, name)
		require.NoError(t, err)
		var ev Event
		lines := bytes.Count(text, []byte("\n"))
		read := func() {
			for range lines {
				if err := r.Read(&ev); err != nil {
					panic(err)
				}
			}
		}
		read()
		require.Zero(t, testing.AllocsPerRun(10, read), name)
	}
}

// loopReader gives a text over and over, without the comments that would
// allocate a header.
type loopReader struct {
	text []byte
	at   int
}

func (l *loopReader) Read(b []byte) (int, error) {
	for l.at < len(l.text) && (l.text[l.at] == '#' || l.text[l.at] == 'c') {
		l.at += bytes.IndexByte(l.text[l.at:], '\n') + 1
	}
	n := copy(b, l.text[l.at:])
	l.at = (l.at + n) % len(l.text)
	return n, nil
}

// TestTooManyNames bounds the memory that a hostile trace can take.
func TestTooManyNames(t *testing.T) {
	var b strings.Builder
	for i := range maxInterned + 1 {
		fmt.Fprintf(&b, "sh-1 [000] ..... 1.000000: e%d: \n", i)
	}
	_, err := tryEvents(b.String())
	var parse *ParseError
	require.ErrorAs(t, err, &parse)
	require.Equal(t, maxInterned+1, parse.Line)
	require.Contains(t, parse.Found, "one more event")
}
