package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/trace"
)

// The file that trace-cmd made of ours has the same events.
func TestDatVersion7(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "v7-zstd.dat"))
	require.NoError(t, err)
	require.Equal(t, "7\x00", string(b[10:12]))
	want := samples(t)["tracefs-6.1-sched.txt"]
	assert.Equal(t, string(write(t, events(t, want, Text), Text)), string(write(t, events(t, b, Dat), Text)))
}

// trace-cmd report prints what was written: each event's CPU, time, name and
// text.
func TestTraceCmdReads(t *testing.T) {
	tool, err := exec.LookPath("trace-cmd")
	if err != nil {
		t.Skip("trace-cmd is not installed")
	}
	for name, text := range samples(t) {
		if strings.Contains(name, "counter") || strings.Contains(name, "lttng") {
			continue // no tasks, or no times
		}
		want := events(t, text, Text)
		file := filepath.Join(t.TempDir(), "trace.dat")
		require.NoError(t, os.WriteFile(file, write(t, want, Dat), 0o644))
		out, err := exec.Command(tool, "report", "-N", file).Output()
		require.NoError(t, err, name)
		got := events(t, out, Text)
		require.Len(t, got, len(want), name)
		for i := range want {
			w, g := &want[i], &got[i]
			if specialName(w.Kind) == "" {
				assert.Equal(t, w.Kind, g.Kind, "%s, event %d", name, i+1)
			}
			assert.Equal(t, w.CPU, g.CPU)
			assert.Equal(t, w.Time, g.Time)
			assert.Equal(t, w.PID, g.PID)
			assert.Equal(t, nameOf(w), nameOf(g))
			assert.Equal(t, string(kernelText(w)), strings.TrimLeft(string(g.Args), " "), "%s, event %d", name, i+1)
		}
	}
}

// What a trace.dat cannot hold: the lazy columns of PREEMPT_RT's old patches,
// and other tools' texts of switches and wakeups.
func TestDatLosses(t *testing.T) {
	got := events(t, write(t, events(t, samples(t)["tracefs-6.1-rt.txt"], Text), Dat), Dat)
	assert.Equal(t, "d..1.", trace.FlagsOf("d..1.").String())
	for i := range got {
		assert.LessOrEqual(t, got[i].Flags.Len(), 5)
	}
	want := events(t, samples(t)["trace-cmd-4.14.txt"], Text)
	got = events(t, write(t, want, Dat), Dat)
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i].Switch, got[i].Switch)
		assert.Equal(t, want[i].Sched, got[i].Sched)
	}
}

func TestLostEvents(t *testing.T) {
	text := "            sh-1       [001] d..1.     1.000001: a: x=1\n" +
		"CPU:1 [LOST 12 EVENTS]\n" +
		"            sh-1       [001] d..1.     1.000001: a: x=2\n" +
		"CPU:0 [LOST EVENTS]\n"
	want := events(t, []byte(text), Text)
	got := events(t, write(t, want, Dat), Dat)
	require.Len(t, got, 4)
	lost := map[int32]uint64{}
	for _, ev := range got {
		if ev.Kind == trace.KindLost {
			lost[ev.CPU] = ev.Lost
		}
	}
	assert.Equal(t, map[int32]uint64{0: 0, 1: 12}, lost)
}

// format makes a format file of fields behind the common ones.
func format(fields, print string) []byte {
	return []byte("name: e\nID: 7\nformat:\n" + commonFields + "\n" + fields + "\nprint fmt: " + print + "\n")
}

const testFields = "\tfield:unsigned long a;\toffset:8;\tsize:8;\tsigned:0;\n" +
	"\tfield:int b;\toffset:16;\tsize:4;\tsigned:1;\n" +
	"\tfield:char comm[16];\toffset:20;\tsize:16;\tsigned:0;\n" +
	"\tfield:__data_loc char[] s;\toffset:36;\tsize:4;\tsigned:0;\n" +
	"\tfield:u8 bytes[4];\toffset:40;\tsize:4;\tsigned:0;\n" +
	"\tfield:unsigned int words[2];\toffset:44;\tsize:8;\tsigned:0;\n"

// testRecord is a record of testFields.
func testRecord(a uint64, b int32) []byte {
	rec := make([]byte, 52)
	le := binary.LittleEndian
	le.PutUint64(rec[8:], a)
	le.PutUint32(rec[16:], uint32(b))
	copy(rec[20:], "init\x00junk")
	le.PutUint32(rec[36:], 52|6<<16)
	copy(rec[40:], "\x01\xab\xc0\xff")
	le.PutUint32(rec[44:], 5)
	le.PutUint32(rec[48:], 0xfffffff0)
	return append(rec, "hello\x00"...)
}

func TestPrintFormats(t *testing.T) {
	syms := ParseSymbols([]byte("ffffffff81000100 T beta\nffffffff81000000 T alpha\nffffffff81000180 t gamma [mod]\n0 t hidden\nnonsense\n"))
	syms.AddText(0xffffffff82000000, "a constant text")
	for _, c := range []struct {
		print string
		a     uint64
		b     int32
		want  string
	}{
		{`"a=%lu b=%d", REC->a, REC->b`, 1 << 40, -3, "a=1099511627776 b=-3"},
		{`"%u %x %#lx %5d|%-5d|%05d", REC->b, REC->b, REC->a, 3, 4, -5`, 255, -1, "4294967295 ffffffff 0xff     3|4    |-0005"},
		{`"%s %s %.*s", REC->comm, __get_str(s), 2, REC->comm`, 0, 0, "init hello in"},
		{`"%s", REC->a ? __print_flags(REC->a, "|", {(unsigned long)((( gfp_t)(((1UL)) << (6))) | (( gfp_t)((1UL) << 7))), "IO_FS"}, {1 << 6, "IO"}, {( unsigned long)1, "ONE"}, {0, ((void *)0)}) : "none"`, 0xc1, 0, "IO_FS|ONE"},
		{`"%s", REC->a ? "yes" : "none"`, 0, 0, "none"},
		{`"%s", __print_flags(REC->a, "+", {1, "A"})`, 0x11, 0, "A+0x10"},
		{`"%s|%s", __print_symbolic(REC->b, {0, "ZERO"}, {-1, "MINUS" " ONE"}), __print_symbolic(REC->a, {1, "ONE"})`, 77, -1, "MINUS ONE|0x4d"},
		{`"%pS %ps %pS", (void *)REC->a, (void *)REC->a, (void *)(REC->a + 0x80)`, 0xffffffff81000104, 0, "beta+0x4/0x80 beta gamma+0x4 [mod]"},
		{`"page=%p pfn=0x%lx", (((struct page *)vmemmap_base) + (REC->a)), REC->a`, 0x1234, 0, "page=0000000000001234 pfn=0x1234"},
		{`"%d %d %d", (REC->b & ((((0x0 | 0x1) + 1) << 1) - 1)) != 0, !REC->b, (unsigned char)REC->a`, 0x1ff, 2, "1 0 255"},
		{`"%s %s", __print_hex(REC->bytes, 3), __print_array(REC->words, 2, 4)`, 0, 0, "01 ab c0 {0x5,0xfffffff0}"},
		{`"%u %zu %c 100%%", REC->words[1], sizeof(REC->words), 'x'`, 0, 0, "4294967280 8 x 100%"},
		{`"%d" " %d", (int)(short)REC->a, (s8)REC->a`, 0x18fff, 0, "-28673 -1"},
		{`"%d", REC->a / REC->b`, 9, 0, "0"},
		{`"%d", unknown_function(REC->a)`, 9, 1, "a=0x9 b=1 comm=init s=hello bytes=01abc0ff words=05000000f0ffffff"},
		{`"%d", REC->missing`, 9, 1, "a=0x9 b=1 comm=init s=hello bytes=01abc0ff words=05000000f0ffffff"},
		{`"%s %s", REC->a, (const char *)REC->b`, 0xffffffff82000000, 0, "a constant text (null)"},
		{`"%d %d", REC->b`, 9, 1, "a=0x9 b=1 comm=init s=hello bytes=01abc0ff words=05000000f0ffffff"},
	} {
		f, err := ParseEventFormat(format(testFields, c.print), "sys", binary.LittleEndian, 8)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(f.Append(nil, testRecord(c.a, c.b), syms)), c.print)
		assert.NotPanics(t, func() { f.Append(nil, nil, nil) }, c.print)
	}
}

func TestBrokenFiles(t *testing.T) {
	good := write(t, events(t, samples(t)["tracefs-6.1-x86_64.txt"], Text), Dat)
	for _, f := range []Format{Dat, Perfetto, JSON, CSV} {
		file := write(t, events(t, samples(t)["tracefs-6.1-x86_64.txt"], Text), f)
		cut := file[:len(file)/2]
		err := readAll(cut, f)
		require.Error(t, err, "%s", f)
		var fe *FormatError
		var pe *trace.ParseError
		assert.True(t, errors.As(err, &fe) || errors.As(err, &pe), "%s: %v", f, err)
	}
	version := bytes.Clone(good)
	version[10] = '9'
	require.ErrorContains(t, readAll(version, Dat), "found version 9 at byte 10, expected 6 or 7")
	require.ErrorContains(t, readAll(good[:40], Dat), "found 205 bytes of content at byte 38, expected at most the 2 that are left")
}

// readAll reads a file to its end or first fault.
func readAll(b []byte, f Format) error {
	s, err := OpenAs(bytes.NewReader(b), int64(len(b)), "in", f)
	if err != nil {
		return err
	}
	var ev trace.Event
	for {
		if err := s.Read(&ev); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// ftraceFile is a trace.dat with a line of the function tracer and a stack, as
// the kernel writes them: the formats are in ftrace's own part of the file.
func ftraceFile() []byte {
	function := []byte("name: function\nID: 1\nformat:\n" + commonFields + "\n\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n" +
		"\tfield:unsigned long parent_ip;\toffset:16;\tsize:8;\tsigned:0;\n\nprint fmt: \" %ps <-- %ps\", (void *)REC->ip, (void *)REC->parent_ip\n")
	stack := []byte("name: kernel_stack\nID: 4\nformat:\n" + commonFields + "\n\tfield:int size;\toffset:8;\tsize:4;\tsigned:1;\n" +
		"\tfield:unsigned long caller[8];\toffset:16;\tsize:64;\tsigned:0;\n\nprint fmt: \"\\t=> %ps\\n\", (void *)REC->caller[0]\n")
	le := binary.LittleEndian
	record := func(id uint16, words ...uint64) []byte {
		b := le.AppendUint16(nil, id)
		b = le.AppendUint32(append(b, 0, 0), 9)
		for _, w := range words {
			b = le.AppendUint64(b, w)
		}
		return b
	}
	p := datPage{size: 4096}
	p.add(5000, record(1, 0x1004, 0x2008))
	p.add(6000, record(4, 2, 0x2008, 0x1004))
	pages := p.flush(nil)

	var b bytes.Buffer
	(&datSink{page: 4096, columns: -1}).writeHead(&b, 1)
	syms := "1000 T alpha\n2000 T beta\n3000 T end\n"
	head := b.Bytes()
	at := bytes.Index(head, []byte("max type_len  == 28\n")) + len("max type_len  == 28\n")
	var f bytes.Buffer
	f.Write(head[:at])
	put(&f, uint32(2))
	putSized(&f, string(function))
	putSized(&f, string(stack))
	put(&f, uint32(0), uint32(len(syms)))
	f.WriteString(syms)
	put(&f, uint32(0))
	putSized(&f, "9 task\n")
	put(&f, uint32(1), "flyrecord", uint64(8192), uint64(len(pages)))
	f.Write(make([]byte, 8192-f.Len()))
	f.Write(pages)
	return f.Bytes()
}

func TestFtraceEvents(t *testing.T) {
	got := events(t, ftraceFile(), Dat)
	require.Len(t, got, 4)
	assert.Equal(t, trace.KindFunction, got[0].Kind)
	assert.Equal(t, "            task-9       [000] .....     0.000005000: alpha <-beta\n"+
		"            task-9       [000] .....     0.000006000: <stack trace>\n => beta+0x8/0x1000\n => alpha+0x4/0x1000\n", string(write(t, got, Text)))
}
