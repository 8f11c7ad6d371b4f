package lockdep

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// moduleReports are what a kernel printed about a module's mistakes, by case.
func moduleReports(t testing.TB) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "captures", "reports", "lockdep_reports.txt.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	out := map[string]string{}
	for _, part := range strings.Split(string(text), "demo: case ") {
		name, body, ok := strings.Cut(part, " begins\n")
		if ok {
			out[name] = body
		}
	}
	return out
}

// registers drops what a kernel prints after its stack: registers, and a second
// report that follows from the first.
func registers(text string) string {
	text, _, _ = strings.Cut(text, "------------[ cut here")
	var out []string
	skip := false
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " ")
		skip = skip || strings.HasPrefix(line, "RIP:")
		if line == " </TASK>" {
			skip = false
		}
		if !skip && line != " <IRQ>" && line != " </IRQ>" {
			out = append(out, line)
		}
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// TestModuleTexts repeats the module's mistakes and compares the reports line by
// line.
func TestModuleTexts(t *testing.T) {
	const spin, mutex, raw = WaitConfig, WaitSleep, WaitSpin
	kernel := moduleReports(t)
	for name, run := range map[string]func(m *module) *Report{
		"aa_same_class": func(m *module) *Report { m.lock("demo_class", spin); return m.lockOther("demo_class", spin) },
		"abba_mutex": func(m *module) *Report {
			m.nest("demo_MA", "demo_MB", mutex)
			m.lock("demo_MB", mutex)
			return m.lock("demo_MA", mutex)
		},
		"abba_spin": func(m *module) *Report {
			m.nest("demo_A", "demo_B", spin)
			m.lock("demo_B", spin)
			return m.lock("demo_A", spin)
		},
		"init_held": func(m *module) *Report {
			m.unlock("sb_writers")
			m.lock("x", spin)
			return m.v.Init(m.t, m.locks["x"], 72, "op")
		},
		"irq_inconsistent_rev": func(m *module) *Report {
			m.lock("demo_A", spin)
			m.unlock("demo_A")
			return m.inIRQ("demo_A")
		},
		"irq_inversion": func(m *module) *Report {
			m.lock("demo_B", spin)
			m.unlock("demo_B")
			m.v.HardirqsOff(m.t, "")
			m.nest("demo_A", "demo_B", spin)
			m.v.HardirqsOn(m.t, "")
			return m.inIRQ("demo_A")
		},
		"irq_safe_to_unsafe": func(m *module) *Report {
			m.inIRQ("demo_A")
			m.lock("demo_B", spin)
			m.unlock("demo_B")
			m.v.HardirqsOff(m.t, "")
			m.lock("demo_A", spin)
			return m.lock("demo_B", spin)
		},
		"rwsem_read_recursion": func(m *module) *Report {
			m.unlock("sb_writers")
			m.read("demo_RW", mutex)
			return m.read("demo_RW", mutex)
		},
		"rwsem_up_write_not_held": func(m *module) *Report { m.unlock("sb_writers"); return m.unlock("demo_RW") },
		"softirq_inconsistent": func(m *module) *Report {
			m.v.HardirqsOff(m.t, "")
			m.v.SoftirqEnter(m.t)
			m.lock("demo_A", spin)
			m.unlock("demo_A")
			m.v.SoftirqExit(m.t)
			m.v.HardirqsOn(m.t, "")
			return m.lock("demo_A", spin)
		},
		"spin_unlock_not_held":  func(m *module) *Report { m.unlock("sb_writers"); return m.unlock("demo_A") },
		"unlock_not_held":       func(m *module) *Report { return m.unlock("demo_MA") },
		"unlock_by_other":       func(m *module) *Report { m.unlock("sb_writers"); return m.unlock("demo_MA") },
		"thread_exit_with_lock": func(m *module) *Report { m.unlock("sb_writers"); m.lock("demo_MA", mutex); return m.v.Exit(m.t) },
		"spin_in_raw":           func(m *module) *Report { m.lock("rs", raw); return m.lock("demo_A", spin) },
		"non_static_key":        func(m *module) *Report { return m.v.Acquire(m.t, 0, Acquire{Site: "op"}) },
		"rcu_deref_outside": func(m *module) *Report {
			return m.v.Suspicious(m.t, "./demo.c:174", "suspicious rcu_dereference_check() usage")
		},
	} {
		m := newModule(t)
		r := run(m)
		require.NotNil(t, r, name)
		want := registers(kernel[name])
		if i := strings.LastIndex(want, " </TASK>"); i >= 0 {
			want = want[:i+len(" </TASK>")]
		}
		require.Equal(t, skeleton(want), skeleton(registers(r.Text)), name)
	}
}

// module drives a validator as the kernel module did: in a write system call,
// which holds sb_writers.
type module struct {
	v     *Validator
	t     *Task
	locks map[string]LockID
	keys  map[string]KeyID
}

func newModule(t *testing.T) *module {
	v, err := New(Config{RawLockNesting: true})
	require.NoError(t, err)
	m := &module{v: v, t: v.NewTask("sh", 43), locks: map[string]LockID{}, keys: map[string]KeyID{}}
	m.get("demo_A", WaitConfig)
	m.get("demo_MA", WaitSleep)
	m.get("demo_RW", WaitSleep)
	m.read("sb_writers", WaitInvalid)
	return m
}

func (m *module) get(name string, wait WaitType) LockID {
	if m.locks[name] == 0 {
		m.keys[name] = m.v.NewKey(Key{Name: name, Inner: wait})
		m.locks[name] = m.v.NewLock(m.keys[name], 0xffffffffa0000000)
	}
	return m.locks[name]
}

func (m *module) lock(name string, wait WaitType) *Report {
	return m.v.Acquire(m.t, m.get(name, wait), Acquire{Site: "op"})
}

func (m *module) read(name string, wait WaitType) *Report {
	return m.v.Acquire(m.t, m.get(name, wait), Acquire{Read: 1, Site: "op"})
}

func (m *module) lockOther(name string, wait WaitType) *Report {
	m.get(name, wait)
	return m.v.Acquire(m.t, m.v.NewLock(m.keys[name], 0xffffffffa0000100), Acquire{Site: "op"})
}

func (m *module) unlock(name string) *Report { return m.v.Release(m.t, m.locks[name], "op") }

func (m *module) nest(outer, inner string, wait WaitType) {
	m.lock(outer, wait)
	m.lock(inner, wait)
	m.unlock(inner)
	m.unlock(outer)
}

func (m *module) inIRQ(name string) *Report {
	on := m.t.hardirqsOn
	m.v.HardirqsOff(m.t, "op")
	m.v.HardirqEnter(m.t)
	m.v.HardirqThreaded(m.t)
	if r := m.lock(name, WaitConfig); r != nil {
		return r
	}
	m.unlock(name)
	m.v.HardirqExit(m.t)
	if on {
		m.v.HardirqsOn(m.t, "op")
	}
	return nil
}

// TestSplats finds the cycles and uses of printed reports from what they describe.
func TestSplats(t *testing.T) {
	understood := 0
	for name, text := range moduleReports(t) {
		s, err := ReadSplat(strings.NewReader(text))
		if name == "non_static_key" {
			require.ErrorIs(t, err, ErrNoSplat)
			continue
		}
		require.NoError(t, err, name)
		r, err := s.Explain()
		require.NoError(t, err)
		require.Empty(t, s.Differences(r), name)
		understood++
	}
	require.Equal(t, 16, understood)
}

// TestSplatsOfOwnReports reads the kernel's self-test's reports.
func TestSplatsOfOwnReports(t *testing.T) {
	texts := kernelReports(t)
	for _, c := range recordedCases(t) {
		text, ok := texts[c.ID]
		if !ok || c.Title == "" || c.WarnOn != "" || c.Kind == string(WaitContext) || c.Kind == string(NestNotHeld) {
			continue
		}
		s, err := ReadSplat(strings.NewReader(text))
		require.NoError(t, err, c.Name)
		require.Equal(t, c.Kind, string(s.Kind), c.Name)
		r, err := s.Explain()
		require.NoError(t, err)
		require.Empty(t, s.Differences(r), "%s\n%s", c.Name, text)
	}
}

// TestOldLogForms: time stamps, thread numbers, addresses and missing wait types do
// not matter.
func TestOldLogForms(t *testing.T) {
	const log = `[  127.525803][ T3699] ======================================================
[  127.532093][ T3699] WARNING: possible circular locking dependency detected
[  127.548509][ T3699] syz/22269 is trying to acquire lock:
[  127.554094][ T3699]  (&a->m){+.+.}, at: [<ffffffff8232bf0e>] f+0x1e/0x40
[  127.562560][ T3699] but task is already holding lock:
[  127.568495][ T3699]  (&b#2){+.+.}, at: [<ffffffff83542c29>] g+0x109/0x140
[  127.593087][ T3699] -> #2 (&b#2){+.+.}:
[  127.593087][ T3699] -> #1 (c/1){+.+.}-{3:3}:
[  127.593087][ T3699] -> #0 (&a->m){+.+.}:
`
	s, err := ReadSplat(strings.NewReader(log))
	require.NoError(t, err)
	require.Equal(t, []string{"&a->m", "c/1", "&b#2"}, s.Chain)
	r, err := s.Explain()
	require.NoError(t, err)
	require.Empty(t, s.Differences(r))
	require.True(t, slices.Equal(r.Cycle, s.Chain))
}

func FuzzReadSplat(f *testing.F) {
	f.Add("WARNING: possible circular locking dependency detected\n-> #1 (b){....}:\n-> #0 (a){....}:\n")
	f.Add("WARNING: inconsistent lock state\ninconsistent {IN-HARDIRQ-W} -> {HARDIRQ-ON-W} usage.\nx takes:\n0 (a){-...}, at: b\n")
	f.Add("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected\nlock(a);\nlock(b);\nlock(a);\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadSplat(strings.NewReader(text))
		if err != nil {
			return
		}
		r, err := s.Explain()
		if err != nil {
			t.Fatal(err)
		}
		s.Differences(r)
	})
}
