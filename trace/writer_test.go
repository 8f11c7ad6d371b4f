package trace

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// rewrite reads a trace and writes it again; typed formats the payloads
// instead of copying the texts.
func rewrite(t *testing.T, name string, text []byte, form Form, typed bool) string {
	t.Helper()
	r, err := NewReader(bytes.NewReader(text), name)
	require.NoError(t, err)
	var out bytes.Buffer
	w := NewWriter(&out, form)
	var ev Event
	for first := true; ; first = false {
		err := r.Read(&ev)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if h := r.Header(); first && h.Tracer != "" {
			require.NoError(t, w.WriteHeader(h))
		}
		if typed && payloadOf(ev.Kind).append != nil {
			ev.Args = nil
		}
		require.NoError(t, w.Write(&ev))
	}
	require.NoError(t, w.Flush())
	return out.String()
}

// TestRewrite says that traces of tracefs come out as they went in, to the
// byte, header included, whether the texts are copied or formatted.
func TestRewrite(t *testing.T) {
	for _, name := range cuttings(t) {
		base := filepath.Base(name)
		switch text := readFile(t, name); {
		case strings.HasPrefix(base, "tracefs-6.18"): // task names were replaced: other columns
		case strings.HasPrefix(base, "tracefs-"):
			require.Equal(t, string(text), rewrite(t, name, text, FormTracefs, false), base)
			require.Equal(t, string(text), rewrite(t, name, text, FormTracefs, true), base)
		case strings.HasPrefix(base, "lttng-"):
			require.Equal(t, string(text), rewrite(t, name, text, FormPlain, false), base)
		}
	}
}

// TestConvert says that a trace in another layout has the same events.
func TestConvert(t *testing.T) {
	for _, name := range cuttings(t) {
		want := readEvents(t, string(readFile(t, name)))
		for _, form := range []Form{FormTracefs, FormPerf, FormPlain} {
			got := readEvents(t, rewrite(t, name, readFile(t, name), form, false))
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, comparable(&want[i], form), comparable(&got[i], form), "event %d of %s as %s", i, name, form)
			}
		}
	}
}

// comparable gives what every layout keeps of an event.
func comparable(ev *Event, form Form) Event {
	c := *ev
	c.Line, c.Form, c.System, c.Flags, c.TGID = 0, 0, "", Flags{}, 0
	if c.Stamp == StampUsecs {
		c.Stamp = StampMicro
	}
	if form == FormPlain || c.PID < 0 {
		c.Comm, c.PID = "", 0
	}
	if strings.HasPrefix(c.Comm, "<") {
		c.Comm = ""
	}
	return c
}

// TestWriteForms writes one event in each layout.
func TestWriteForms(t *testing.T) {
	ev := Event{Kind: KindMMPageFree, Comm: "sh", PID: 149, TGID: 148, CPU: 2, Flags: FlagsOf("d..1."), Time: 43_996_563_499,
		Page: Page{PFN: 0x16d0, Address: 0xfffffc00000795c0}}
	const args = "page=fffffc00000795c0 pfn=0x16d0 order=0\n"
	nano, ticks, idle, lost := ev, ev, ev, ev
	nano.Stamp = StampNano
	ticks.Stamp, ticks.Time = StampTicks, 77
	idle.Comm, idle.PID, idle.Flags, idle.Time = "", 0, Flags{}, 999_999_999_500
	lost.Kind, lost.Lost = KindLost, 12
	tests := []struct {
		ev   Event
		form Form
		want string
	}{
		{ev, FormTracefs, "              sh-149     [002] d..1.    43.996563: mm_page_free: " + args},
		{nano, FormTracefs, "              sh-149     [002] d..1.    43.996563499: mm_page_free: " + args},
		{ticks, FormTracefs, "              sh-149     [002] d..1.           77: mm_page_free: " + args},
		{idle, FormTracefs, "          <idle>-0       [002] .....  1000.000000: mm_page_free: " + args},
		{ev, FormPerf, "              sh     149 [002]    43.996563: kmem:mm_page_free: " + args},
		{ev, FormPlain, "43.996563 [002] mm_page_free: " + args},
		{lost, FormTracefs, "CPU:2 [LOST 12 EVENTS]\n"},
	}
	for _, test := range tests {
		var out bytes.Buffer
		w := NewWriter(&out, test.form)
		require.NoError(t, w.Write(&test.ev))
		require.NoError(t, w.Flush())
		require.Equal(t, test.want, out.String())
		if test.ev.Kind == KindLost {
			continue
		}
		got := readOne(t, strings.TrimSuffix(test.want, "\n"))
		require.Empty(t, cmp.Diff(Page{PFN: 0x16d0, HasPFN: true, Address: 0xfffffc00000795c0}, got.Page))
	}
}

// TestWriteHeaderTGID writes the columns of record-tgid.
func TestWriteHeaderTGID(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, FormTracefs)
	require.NoError(t, w.WriteHeader(Header{InBuffer: 2, Written: 2, CPUs: 4, TGID: true}))
	ev := Event{Kind: KindMMPageFree, Comm: "sh", PID: 149, TGID: 148, Time: 43_996_563_499}
	require.NoError(t, w.Write(&ev))
	ev.TGID = -1
	require.NoError(t, w.Write(&ev))
	require.NoError(t, w.Flush())
	const want = `# tracer: nop
#
# entries-in-buffer/entries-written: 2/2   #P:4
#
#                                          _-----=> irqs-off/BH-disabled
#                                         / _----=> need-resched
#                                        | / _---=> hardirq/softirq
#                                        || / _--=> preempt-depth
#                                        ||| / _-=> migrate-disable
#                                        |||| /     delay
#           TASK-PID       TGID    CPU#  |||||  TIMESTAMP  FUNCTION
#              | |           |       |   |||||     |         |
              sh-149     (    148) [000] .....    43.996563: mm_page_free: page=0000000000000000 pfn=0x0 order=0
              sh-149     (-------) [000] .....    43.996563: mm_page_free: page=0000000000000000 pfn=0x0 order=0
`
	require.Equal(t, want, out.String())
	events := readEvents(t, out.String())
	require.EqualValues(t, 148, events[0].TGID)
	require.EqualValues(t, -1, events[1].TGID)
}

// TestWriteErrors refuses what could not be read again, and reports what the
// underlying writer gave.
func TestWriteErrors(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, FormTracefs)
	require.ErrorIs(t, w.Write(&Event{Kind: KindKfree, Comm: "a\nb"}), ErrLineBreak)
	require.ErrorIs(t, w.Write(&Event{Kind: KindKfree, Object: Object{CallSite: "a\nb"}}), ErrLineBreak)
	require.NoError(t, w.Write(&Event{Kind: KindKfree}))
	require.NoError(t, w.Flush())
	require.Equal(t, 1, strings.Count(out.String(), "\n"))

	full := errors.New("disk full")
	w = NewWriter(failingWriter{full}, FormTracefs)
	require.NoError(t, w.Write(&Event{Kind: KindKfree}))
	require.ErrorIs(t, w.Flush(), full)
	require.ErrorIs(t, w.Write(&Event{Kind: KindKfree}), full)
}

// failingWriter fails.
type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

// TestWriteAllocatesNothing says that writing on allocates nothing.
func TestWriteAllocatesNothing(t *testing.T) {
	events := readEvents(t, string(readFile(t, "testdata/tracefs-6.1-x86_64.txt")))
	w := NewWriter(io.Discard, FormTracefs)
	write := func() {
		for i := range events {
			events[i].Args = nil
			if err := w.Write(&events[i]); err != nil {
				panic(err)
			}
		}
	}
	write()
	require.Zero(t, testing.AllocsPerRun(10, write))
}
