package cyclictest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/cyclictest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	us = int64(1000)
	ms = 1000 * us
)

// machine is a CPU with tasks that work in the kernel for up to 2 ms at a time,
// hold a spinlock for up to 100 µs, and interrupts of 20 µs.
func machine(p sched.Preempt) sched.SimConfig {
	return sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: sched.Linux6_1}, Preempt: p, Seed: 1,
		Interrupts: []sched.Interrupt{{First: 1, Period: 777_777, Cost: 20_000}},
		Specs: []sched.TaskSpec{
			{Comm: "syscalls", Program: sched.Loop(sched.Random(ms/10, ms), sched.Step{Op: sched.OpKernel, N: 2 * ms})},
			{Comm: "locks", Program: sched.Loop(sched.Compute(50*us), sched.Step{Op: sched.OpAtomic, N: 100 * us}, sched.Sleep(ms))},
		}}
}

// TestPreemption: without preemption the longest latency is the longest work in
// the kernel; with it, the longest section that disables it; interrupts come on
// top.
func TestPreemption(t *testing.T) {
	longest := map[sched.Preempt]uint64{}
	for _, p := range []sched.Preempt{sched.PreemptNone, sched.PreemptVoluntary, sched.PreemptFull, sched.PreemptRT} {
		h, err := cyclictest.Run(machine(p), cyclictest.Options{Buckets: 3000})
		require.NoError(t, err)
		if p == sched.PreemptFull || p == sched.PreemptRT {
			assert.Equal(t, uint64(10_000), h.Total[0], "a sample each ms")
		} else {
			assert.Less(t, h.Total[0], uint64(10_000), "some timers come while an earlier one is not served yet")
		}
		assert.Zero(t, h.Overflows[0])
		assert.Zero(t, h.Min[0])
		assert.LessOrEqual(t, h.Avg[0], h.Max[0])
		assert.Equal(t, h.Max[0], h.Quantile(1))
		longest[p] = h.Max[0]
	}
	// 2 ms of kernel work, with three interrupts of 20 µs in them at most.
	assert.InDelta(t, 2030, longest[sched.PreemptNone], 35)
	assert.Equal(t, longest[sched.PreemptNone], longest[sched.PreemptVoluntary])
	assert.InDelta(t, 110, longest[sched.PreemptFull], 15)
	assert.Equal(t, longest[sched.PreemptFull], longest[sched.PreemptRT])
}

func TestSeveralCPUs(t *testing.T) {
	cfg := machine(sched.PreemptFull)
	cfg.CPUs = 3
	h, err := cyclictest.Run(cfg, cyclictest.Options{Interval: 200 * us, Duration: 100_000_000, Priority: 99})
	require.NoError(t, err)
	assert.Equal(t, 3, h.Threads())
	var text bytes.Buffer
	_, err = h.WriteTo(&text)
	require.NoError(t, err)
	again, err := cyclictest.Read(bytes.NewReader(text.Bytes()), "x")
	require.NoError(t, err)
	assert.Equal(t, h, again)
	cfg.CPUs = 0
	_, err = cyclictest.Run(cfg, cyclictest.Options{})
	var wrong *sched.ConfigError
	require.ErrorAs(t, err, &wrong)
	_, err = cyclictest.Run(machine(sched.PreemptRT), cyclictest.Options{Priority: 100})
	require.Error(t, err)
}

// TestBoards reads histograms of real boards and writes them again, byte by byte.
func TestBoards(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		file, err := os.Open(f)
		require.NoError(t, err)
		z, err := gzip.NewReader(file)
		require.NoError(t, err)
		text, err := io.ReadAll(z)
		require.NoError(t, err)
		file.Close()
		h, err := cyclictest.Read(bytes.NewReader(text), f)
		require.NoError(t, err)
		var out bytes.Buffer
		_, err = h.WriteTo(&out)
		require.NoError(t, err)
		require.Equal(t, string(text), out.String())
		for i := range h.Counts {
			sum := uint64(0)
			for us, n := range h.Counts[i] {
				sum += n
				if n > 0 {
					assert.LessOrEqual(t, uint64(us), h.Max[i])
				}
			}
			assert.Equal(t, h.Total[i]-h.Overflows[i], sum)
		}
	}
}

const text = "# Histogram\n000000 000001\n000001 000003\n# Total: 000000004\n# Min Latencies: 00000\n# Avg Latencies: 00000\n# Max Latencies: 00001\n# Histogram Overflows: 00000\n"

func TestRead(t *testing.T) {
	h, err := cyclictest.Read(strings.NewReader(text), "x")
	require.NoError(t, err)
	assert.Equal(t, []uint64{1, 3}, h.All())
	assert.Equal(t, uint64(0), h.Quantile(0.25))
	assert.Equal(t, uint64(1), h.Quantile(0.5))
	lines := strings.Split(text, "\n")
	for i := range lines[:len(lines)-1] {
		broken := strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "\n")
		if i == 2 {
			continue // a histogram with fewer buckets
		}
		var wrong *cyclictest.ParseError
		_, err := cyclictest.Read(strings.NewReader(broken), "x")
		require.ErrorAs(t, err, &wrong, "without line %d", i+1)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(text)
	f.Add(strings.ReplaceAll(text, "000001", "1\t2"))
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := cyclictest.Read(strings.NewReader(text), "f"); err == nil {
			_, _ = h.WriteTo(&bytes.Buffer{})
			h.Quantile(0.99)
		}
	})
}

func ExampleRun() {
	for _, p := range []sched.Preempt{sched.PreemptNone, sched.PreemptRT} {
		h, err := cyclictest.Run(machine(p), cyclictest.Options{})
		if err != nil {
			panic(err)
		}
		fmt.Println("99% of the samples within", h.Quantile(0.99), "µs")
	}
	// Output:
	// 99% of the samples within 2058 µs
	// 99% of the samples within 87 µs
}
