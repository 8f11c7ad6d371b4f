package tasks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/sched/tasks"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func boot(t require.TestingT, c tasks.Config) *tasks.Table {
	x, err := tasks.New(c, "systemd")
	require.NoError(t, err)
	return x
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func errno(t require.TestingT, err error) string {
	var e *tasks.Error
	require.ErrorAs(t, err, &e)
	return e.Errno
}

func TestProcessesAndThreads(t *testing.T) {
	x := boot(t, tasks.Config{})
	must(x.KernelThread("ksoftirqd/0"))
	shell := must(x.Fork(1))
	require.NoError(t, x.Exec(shell, "bash"))
	app := must(x.Fork(shell))
	require.NoError(t, x.Exec(app, "multithreaded-program"))
	first := must(x.NewThread(app))
	second := must(x.NewThread(first))
	assert.Equal(t, []int32{3, 4, 5, 6, 7}, []int32{3, shell, app, first, second})
	assert.Equal(t, app, x.Task(second).TGID)
	assert.Equal(t, shell, x.Task(second).PPID)
	assert.Equal(t, x.Task(app).VM, x.Task(second).VM)
	assert.NotEqual(t, x.Task(shell).VM, x.Task(app).VM)
	assert.Equal(t, "multithreaded-p", x.Task(app).Comm, "15 bytes")
	processes, threads, kernel := x.Count()
	assert.Equal(t, [3]int{5, 7, 2}, [3]int{processes, threads, kernel})
	assert.Equal(t, uint64(7*16<<10), x.KernelStacks())
	require.NoError(t, x.Check())

	var b strings.Builder
	require.NoError(t, x.WritePS(&b))
	assert.Equal(t, `    PID     LWP    PPID STAT COMMAND
      1       1       0 S    systemd
      2       2       0 S    [kthreadd]
      3       3       2 D    [ksoftirqd/0]
      4       4       1 R    bash
      5       5       4 Rl   multithreaded-p
      5       6       4 Rl   multithreaded-p
      5       7       4 Rl   multithreaded-p
`, b.String())
	b.Reset()
	require.NoError(t, x.WriteStacks(&b))
	assert.Contains(t, b.String(), "      3       3  [ksoftirqd/0]            16 KiB            -")
	assert.Contains(t, b.String(), "      5       5  multithreaded-p          16 KiB     8192 KiB        3")

	// A thread that calls exec becomes the leader.
	require.NoError(t, x.Exec(second, "other"))
	assert.Nil(t, x.Task(second))
	assert.Equal(t, "other", x.Task(app).Comm)
	require.NoError(t, x.Check())
}

func TestZombiesAndOrphans(t *testing.T) {
	x := boot(t, tasks.Config{})
	parent := must(x.Fork(1))
	child := must(x.Fork(parent))
	grandchild := must(x.Fork(child))
	thread := must(x.NewThread(child))
	_, _, err := x.Wait(parent)
	assert.Equal(t, "EAGAIN", errno(t, err))
	require.NoError(t, x.Exit(child, 7))
	assert.Equal(t, tasks.Zombie, x.Task(child).State)
	assert.Equal(t, int32(1), x.Task(grandchild).PPID, "an orphan goes to init")
	_, _, err = x.Wait(parent)
	assert.Equal(t, "EAGAIN", errno(t, err), "a thread of it runs on")
	require.NoError(t, x.Exit(thread, 0))
	pid, code, err := x.Wait(parent)
	require.NoError(t, err)
	assert.Equal(t, [2]int{int(child), 7}, [2]int{int(pid), code})
	_, _, err = x.Wait(parent)
	assert.Equal(t, "ECHILD", errno(t, err))
	require.NoError(t, x.Exit(grandchild, 0))
	assert.Nil(t, x.Task(grandchild), "init waits by itself")
	assert.Equal(t, "ESRCH", errno(t, x.Exit(grandchild, 0)))

	reaper := must(x.Fork(1))
	x.Task(reaper).Subreaper = true
	middle := must(x.Fork(reaper))
	last := must(x.Fork(middle))
	require.NoError(t, x.Exit(middle, 0))
	assert.Equal(t, reaper, x.Task(last).PPID)
	require.NoError(t, x.Check())
}

func TestRefused(t *testing.T) {
	x := boot(t, tasks.Config{PIDMax: 303, ThreadsMax: 10})
	for _, flags := range []tasks.CloneFlags{tasks.CloneThread, tasks.CloneThread | tasks.CloneVM, tasks.CloneSighand, tasks.CloneParent} {
		_, err := x.Clone(1, flags)
		assert.Equal(t, "EINVAL", errno(t, err), "%x", flags)
	}
	_, err := x.Fork(2)
	assert.Equal(t, "EINVAL", errno(t, err))
	_, err = x.Fork(99)
	assert.Equal(t, "ESRCH", errno(t, err))
	assert.Equal(t, "panic", errno(t, x.Exit(1, 0)))
	assert.Equal(t, "panic", errno(t, x.ExitGroup(1, 0)))
	assert.Equal(t, "EINVAL", errno(t, x.Exit(2, 0)))
	assert.Equal(t, "EINVAL", errno(t, x.Exec(2, "x")))
	for range 8 {
		must(x.Fork(1))
	}
	_, err = x.Fork(1)
	assert.Equal(t, "EAGAIN", errno(t, err))
	_, err = tasks.New(tasks.Config{PIDMax: 5}, "init")
	assert.Equal(t, "EINVAL", errno(t, err))
	require.NoError(t, x.Check())
}

// TestPIDsGoRound: PIDs ascend, and from pid_max on begin again at 300.
func TestPIDsGoRound(t *testing.T) {
	x := boot(t, tasks.Config{PIDMax: 400})
	var pids []int32
	for range 500 {
		pid := must(x.Fork(1))
		pids = append(pids, pid)
		require.NoError(t, x.Exit(pid, 0))
	}
	assert.Equal(t, int32(3), pids[0])
	assert.Equal(t, int32(399), pids[396])
	assert.Equal(t, int32(300), pids[397])
	assert.Equal(t, int32(300), pids[497])
}

// TestLaws makes random families.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := boot(t, tasks.Config{PIDMax: 340, ThreadsMax: 60})
		pid := func(t *rapid.T) int32 { return rapid.Int32Range(0, 345).Draw(t, "pid") }
		flags := rapid.SampledFrom([]tasks.CloneFlags{0, tasks.Thread, tasks.CloneVM | tasks.CloneVfork, tasks.CloneParent, tasks.CloneThread})
		some := func(t *rapid.T) int32 {
			var all []int32
			x.Threads(func(y *tasks.Task) { all = append(all, y.PID) })
			return append(all, pid(t))[rapid.IntRange(0, len(all)).Draw(t, "which")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"clone":  func(t *rapid.T) { _, _ = x.Clone(some(t), flags.Draw(t, "flags")) },
			"kernel": func(t *rapid.T) { _, _ = x.KernelThread("k") },
			"exec":   func(t *rapid.T) { _ = x.Exec(some(t), "prog") },
			"exit":   func(t *rapid.T) { _ = x.Exit(some(t), 1) },
			"group":  func(t *rapid.T) { _ = x.ExitGroup(some(t), 1) },
			"wait":   func(t *rapid.T) { _, _, _ = x.Wait(some(t)) },
			"": func(t *rapid.T) {
				require.NoError(t, x.Check())
				n := 0
				x.Threads(func(*tasks.Task) { n++ })
				_, threads, _ := x.Count()
				require.Equal(t, threads, n)
			},
		})
	})
}

// TestFilesLikeTheMachines compares the names of the lines with those of the
// Linux that runs the test, and the number of fields.
func TestFilesLikeTheMachines(t *testing.T) {
	real, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc")
	}
	names := map[string]bool{}
	for _, l := range strings.Split(string(real), "\n") {
		name, _, _ := strings.Cut(l, ":")
		names[name] = true
	}
	x := boot(t, tasks.Config{})
	var b strings.Builder
	require.NoError(t, x.WriteStatus(&b, 1))
	for _, l := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		name, _, _ := strings.Cut(l, ":")
		assert.True(t, names[name], name)
	}
	stat, err := os.ReadFile(filepath.Join("/proc/self/stat"))
	require.NoError(t, err)
	b.Reset()
	require.NoError(t, x.WriteStat(&b, 2))
	assert.Equal(t, len(strings.Fields(string(stat))), len(strings.Fields(b.String())))
	assert.Error(t, x.WriteStat(&b, 77))
	assert.Error(t, x.WriteStatus(&b, 77))
}

func ExampleTable() {
	t, _ := tasks.New(tasks.Config{Arch: tasks.ARM64}, "init")
	shell, _ := t.Fork(1)
	_ = t.Exec(shell, "sh")
	_, _ = t.NewThread(shell)
	t.Threads(func(x *tasks.Task) { fmt.Println(x.TGID, x.PID, x.Comm) })
	fmt.Println(t.KernelStacks()>>10, "KiB of kernel stacks")
	// Output:
	// 1 1 init
	// 2 2 kthreadd
	// 3 3 sh
	// 3 4 sh
	// 64 KiB of kernel stacks
}
