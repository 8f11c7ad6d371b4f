package convert

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/trace"
)

func TestLTTngText(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "babeltrace2.txt"))
	require.NoError(t, err)
	require.Equal(t, LTTng, Detect(b))
	got := events(t, b, LTTng)
	require.Len(t, got, 5)
	assert.Equal(t, uint64(1412673361211260539), got[0].Time)
	assert.Equal(t, int32(1), got[0].CPU)
	assert.Equal(t, "lttng-consumerd", got[0].Comm)
	assert.Equal(t, int32(496), got[0].PID)
	assert.Equal(t, int32(490), got[0].TGID)
	assert.Equal(t, trace.KindKmalloc, got[0].Kind)
	assert.Equal(t, uint64(712), got[0].Object.BytesReq)
	assert.Equal(t, uint64(0xcdeb5c00), got[1].Object.Ptr)
	assert.Equal(t, "a, {b}", got[2].Sched.Comm)
	assert.Equal(t, uint64(24*3600e9+1), got[3].Time, "time of day goes on after midnight")
	assert.Equal(t, uint64(1412673361211287139), got[4].Time)

	again := events(t, write(t, got[:2], LTTng), LTTng)
	require.Len(t, again, 2)
	assert.Equal(t, got[0].Object, again[0].Object)
	assert.Equal(t, got[0].Time, again[0].Time)

	for _, bad := range []string{
		"[13:09:21.2] (+0) h e: { cpu_id = 1 }, { }\n",
		"[25:09:21.211260539] (+0) h e: { cpu_id = 1 }, { }\n",
		"[1.211260539] (+0) nothing\n", "text\n",
		"[2014-13-07 09:16:01.211260539] (+0) h e: { cpu_id = 1 }\n",
	} {
		require.ErrorContains(t, readAll([]byte(bad), LTTng), "in:1: found", bad)
	}
}

// Events that Perfetto itself recorded have no notes of ours.
func TestForeignPerfetto(t *testing.T) {
	ev := appendVarint(appendVarint(nil, eventTimestamp, 5), eventPID, 9)
	sw := appendBytes(ev, 4, switchMessage(&trace.Switch{PrevComm: "a", PrevPID: 1, PrevPrio: 120, PrevState: "S", NextComm: "b", NextPID: 2, NextPrio: 99}))
	page := appendVarint(appendVarint(appendVarint(appendVarint(nil, 1, 0xcc0), 2, 1), 3, 3), 5, 0x77)
	pg := appendBytes(ev, 307, page)
	unknown := appendBytes(ev, 40, []byte{})
	bundle := appendVarint(nil, bundleCPU, 3)
	for _, e := range [][]byte{sw, pg, unknown} {
		bundle = appendBytes(bundle, bundleEvent, e)
	}
	file := appendBytes(nil, tracePacket, appendBytes(nil, packetFtraceEvents, bundle))
	require.Equal(t, Perfetto, Detect(file))
	got := events(t, file, Perfetto)
	require.Len(t, got, 2)
	assert.Equal(t, trace.Switch{PrevComm: "a", PrevPID: 1, PrevPrio: 120, PrevState: "1", NextComm: "b", NextPID: 2, NextPrio: 99}, got[0].Switch)
	assert.Equal(t, int32(3), got[0].CPU)
	assert.Equal(t, int32(9), got[0].PID)
	assert.Equal(t, uint64(0x77), got[1].Page.PFN)
	assert.Equal(t, int32(3), got[1].Page.Order)
}

func TestForeignJSON(t *testing.T) {
	for _, text := range []string{
		`[{"name":"go","ph":"i","ts":1.5,"pid":1,"tid":7,"args":{"b":2,"a":"x"}},{"name":"skip","ph":"X","ts":2,"dur":1}]`,
		`{"other":{"x":[1]},"traceEvents":[{"name":"go","ph":"I","ts":1.5,"pid":1,"tid":7,"args":{"b":2,"a":"x"}}],"more":1}`,
	} {
		require.Equal(t, JSON, Detect([]byte(text)))
		got := events(t, []byte(text), JSON)
		require.Len(t, got, 1)
		assert.Equal(t, uint64(1500), got[0].Time)
		assert.Equal(t, "a=x b=2", string(got[0].Args))
		assert.Equal(t, int32(7), got[0].PID)
	}
	require.ErrorContains(t, readAll([]byte(`{"a":1}`), JSON), "no traceEvents")
}

// Formats that keep less keep at least the payloads of their events.
func TestTextForms(t *testing.T) {
	want := events(t, samples(t)["tracefs-6.12-sched.txt"], Text)
	for _, f := range []Format{Perf, Plain} {
		got := events(t, write(t, want, f), Text)
		require.Len(t, got, len(want))
		for i := range want {
			assert.Equal(t, want[i].Switch, got[i].Switch, "%s", f)
			assert.Equal(t, want[i].Time, got[i].Time)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, f := range Formats {
		got, err := ParseFormat(string(f))
		require.NoError(t, err)
		assert.Equal(t, f, got)
	}
	_, err := ParseFormat("ctf")
	require.Error(t, err)
	for name, want := range map[string]Format{"a/trace.DAT": Dat, "x.pftrace": Perfetto, "x.csv": CSV, "t.txt": Text} {
		got, ok := FormatOf(name)
		assert.True(t, ok)
		assert.Equal(t, want, got)
	}
	_, ok := FormatOf("trace")
	assert.False(t, ok)
}

// fuzzRead checks that a reader stays calm, and that what it reads can be
// written and read again.
func fuzzRead(f *testing.F, format Format) {
	for _, name := range []string{"tracefs-6.1-sched.txt", "tracefs-6.18-slab.txt"} {
		b := samples(f)[name]
		b = b[:bytes.LastIndexByte(b[:min(len(b), 3000)], '\n')+1]
		f.Add(write(f, events(f, b, Text), format))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		_ = readAll(b, format)
	})
}

func FuzzDat(f *testing.F) {
	if b, err := os.ReadFile(filepath.Join("testdata", "v7-zstd.dat")); err == nil {
		f.Add(b)
	}
	fuzzRead(f, Dat)
}

func FuzzPerfetto(f *testing.F) { fuzzRead(f, Perfetto) }

func FuzzJSON(f *testing.F) { fuzzRead(f, JSON) }

func FuzzCSV(f *testing.F) { fuzzRead(f, CSV) }

func FuzzLTTng(f *testing.F) { fuzzRead(f, LTTng) }

// Any text survives the way through the formats that keep everything.
func FuzzArgs(f *testing.F) {
	for _, s := range []string{"a=1 b=0x2f c=003 d=x y", "(f+0x0/0x1) x=-1", "no fields", "a=1a b=== x=\"q\" ==> y=", "%d%s \\n \"", "p={0x1,0x2} z=00000000000000ff"} {
		f.Add(s, "name")
	}
	f.Fuzz(func(t *testing.T, args, comm string) {
		if strings.ContainsAny(args+comm, "\n\r\x00") || len(args) > 4000 || strings.TrimSpace(comm) != comm || comm == "" {
			return
		}
		want := []trace.Event{{Time: 5000, CPU: 1, PID: 3, TGID: -1, Comm: comm, Name: "event", Args: []byte(args)}}
		for _, format := range []Format{Dat, Perfetto, JSON, CSV} {
			got := events(t, write(t, want, format), format)
			if len(got) != 1 || string(got[0].Args) != args || got[0].Comm != comm {
				t.Fatalf("%s: %q became %+v", format, args, got)
			}
		}
	})
}
