package slab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// givenPages gives the page frames that a sample's slabs had.
type givenPages struct{ pfns []buddy.PFN }

func (g *givenPages) AllocPages(buddy.GFP, buddy.Order, buddy.NodeID, buddy.CPU) (buddy.PFN, error) {
	if len(g.pfns) == 0 {
		return 0, ErrNoPages
	}
	pfn := g.pfns[0]
	g.pfns = g.pfns[1:]
	return pfn, nil
}
func (*givenPages) FreePages(buddy.PFN, buddy.Order, buddy.CPU) error { return nil }
func (*givenPages) PageNode(buddy.PFN) buddy.NodeID                   { return 0 }

// sample is a console text of a real kernel (testdata/reports) and the model
// that repeats the calls which led to it.
type sample struct {
	*testing.T
	a     *Allocator
	cpu   buddy.CPU
	lines []string
	text  string
	task  Task
}

const sampleOffset = 0xff11000000000000

var (
	stackLine   = regexp.MustCompile(`^ (\? )?[A-Za-z_][\w.]*\+0x`)
	machineLine = regexp.MustCompile(`^(RIP|RSP|RAX|RDX|RBP|R\d\d|Code|FS|CS|CR2|PKRU|irq event|hardirqs|softirqs|demo|debugfs)\b.*`)
	offsetPart  = regexp.MustCompile(`(kmem_cache_destroy|cache_from_obj)\+0x\w+/0x\w+$`)
)

// normal leaves out what belongs to the machine and its tasks: stacks,
// registers, the test module's own lines.
func normal(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if stackLine.MatchString(line) || machineLine.MatchString(line) {
			continue
		}
		out = append(out, offsetPart.ReplaceAllString(line, "$1"))
	}
	return out
}

// field gives the first group of a pattern in the sample's text.
func (s *sample) field(pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(s.text)
	if m == nil {
		return ""
	}
	return m[1]
}

// newSample prepares the machine of a sample: kernel 6.1.192 with
// slub_debug=FZPU, without shuffled or hardened free lists. pfns are the pages
// of its slabs.
func newSample(t *testing.T, name string, pfns ...buddy.PFN) *sample {
	s := &sample{T: t, text: string(readGz(t, "reports/"+name+".txt.gz"))}
	c := NewConfig(Linux6_1, X86_64, 2)
	c.FreelistRandom, c.FreelistHardened, c.ZoneDMA, c.Memcg, c.PageOffset = false, false, false, false, sampleOffset
	c.Debug = ParseDebugOption("FZPU", true, 0)
	a, err := New(c, &givenPages{pfns})
	require.NoError(t, err)
	s.a = a
	a.SetReports(ReportConfig{
		Release: "6.1.192-lockprobe", Version: "#1", Vmemmap: 0xffd4000000000000, Modules: "Modules linked in: demo(O)",
		Taint:   strings.ReplaceAll(strings.TrimPrefix(s.field(`Tainted: ([A-Z ]{19})`), "G"), " ", ""),
		Lockdep: strings.Contains(s.text, "Disabling lock debugging"),
	}, func(line string) { s.lines = append(s.lines, line) })
	var cpu, pid int
	_, err = fmt.Sscanf(s.field(`CPU: (\d+ PID: \d+) Comm`), "%d PID: %d", &cpu, &pid)
	require.NoError(t, err)
	s.cpu, s.task = buddy.CPU(cpu), Task{PID: int32(pid), Comm: "sh", Jiffies: 1000}
	return s
}

// by says from where, and how many ticks before the report, the next call is
// made: as the text has it behind "Allocated in" or "Freed in".
func (s *sample) by(what string) *sample {
	caller := s.field(what + ` in (\S+ \[demo\]) age`)
	age := 0
	if a := s.field(what + ` in \S+ \[demo\] age=(\d+)`); a != "" {
		_, err := fmt.Sscan(a, &age)
		require.NoError(s, err)
	}
	task := s.task
	task.Caller, task.Stack = caller, []string{"slubcase+0x1/0x2 [demo]"}
	task.Jiffies -= uint64(age)
	s.a.SetTask(task)
	return s
}

// now makes the next call at the time of the report.
func (s *sample) now(caller string) {
	task := s.task
	task.Caller, task.Stack = caller, []string{"slubcase+0x1/0x2 [demo]"}
	s.a.SetTask(task)
}

func (s *sample) cache(name string) *Cache {
	c, err := s.a.Create(Params{Name: name, Size: 64})
	require.NoError(s, err)
	return c
}

func (s *sample) alloc(c *Cache) uint64 {
	p, err := c.Alloc(s.cpu, buddy.GFPKernel)
	require.NoError(s, err)
	return p
}

func (s *sample) write(addr uint64, v byte, n int) {
	b := make([]byte, n)
	fill(b, v)
	require.NoError(s, s.a.Write(addr, b))
}

// busy destroys a cache that has objects.
func (s *sample) busy(c *Cache) {
	s.now(s.field(`Slab cache still has objects when called from (.*)`))
	require.ErrorIs(s, c.Destroy(s.cpu), ErrBusy)
}

// same compares what the model printed with the sample.
func (s *sample) same() {
	want := normal(s.text)
	for len(want) > 0 && want[len(want)-1] == "" {
		want = want[:len(want)-1]
	}
	assert.Equal(s, want, normal(strings.Join(s.lines, "\n")))
}

// TestReports repeats what a test module did on a real kernel and compares all
// the kernel printed.
func TestReports(t *testing.T) {
	refused := func(s *sample, title string, err error) {
		s.Helper()
		var r *ReportError
		require.ErrorAs(s, err, &r)
		require.Contains(s, r.Title, title)
	}
	cases := map[string]func(t *testing.T, name string){
		"slub_double_free": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a6a)
			c := s.cache("demo_obj")
			p := s.by("Allocated").alloc(c)
			require.NoError(t, c.Free(s.cpu, p))
			refused(s, "Slab has 0 allocated objects", c.Free(s.cpu, p))
			require.NoError(t, c.Destroy(s.cpu))
			s.same()
		},
		"slub_double_free2": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a01)
			c := s.cache("demo_obj")
			p := s.by("Allocated").alloc(c)
			s.now("")
			q := s.alloc(c)
			s.by("Freed")
			require.NoError(t, c.Free(s.cpu, p))
			s.now("")
			refused(s, "Object already free", c.Free(s.cpu, p))
			require.NoError(t, c.Free(s.cpu, q))
			s.busy(c)
			s.same()
		},
		"slub_double_free_kfree": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3813)
			var objs [16]uint64
			s.by("Allocated")
			for i := range objs {
				objs[i], _ = s.a.Kmalloc(s.cpu, 64, buddy.GFPKernel)
			}
			s.by("Freed")
			require.NoError(t, s.a.Kfree(s.cpu, objs[3]))
			refused(s, "Object already free", s.a.Kfree(s.cpu, objs[3]))
			s.same()
		},
		"slub_free_after_corrupt": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a34, 0x3a35)
			c := s.cache("demo_obj")
			p := s.by("Allocated").alloc(c)
			require.NoError(t, c.Free(s.cpu, s.freed(p)))
			s.write(p, 0, 63)
			s.write(p+63, PoisonEnd, 1)
			s.write(p+63, 0, 1)
			s.now("")
			require.Equal(t, uint64(sampleOffset+0x3a35008), s.alloc(c))
			require.NoError(t, c.Free(s.cpu, sampleOffset+0x3a35008))
			s.busy(c)
			s.same()
		},
		"slub_kmalloc_oob": func(t *testing.T, name string) {
			s := newSample(t, name, 0xbae)
			s.now("x")
			_, err := s.a.Kmalloc(s.cpu, 100, buddy.GFPKernel)
			require.NoError(t, err)
			p, err := s.a.Kmalloc(s.cpu, 100, buddy.GFPKernel)
			require.NoError(t, err)
			s.by("Freed")
			require.NoError(t, s.a.Kfree(s.cpu, p))
			s.by("Allocated")
			p, err = s.a.Kmalloc(s.cpu, 100, buddy.GFPKernel)
			require.NoError(t, err)
			// Bytes up to the object's size are the caller's, asked for or not.
			s.write(p+100, 1, 1)
			s.write(p+100, PoisonFree, 1)
			s.write(p+128, 1, 1)
			s.now("")
			refused(s, "Right Redzone overwritten", s.a.Kfree(s.cpu, p))
			s.same()
		},
		"slub_padding": func(t *testing.T, name string) {
			s := newSample(t, name, 0x39ea)
			c := s.cache("demo_obj")
			p := s.by("Allocated").alloc(c)
			s.write(p+144, 0x77, 1)
			s.now("")
			require.NoError(t, c.Free(s.cpu, p), "padding is repaired and the object freed")
			require.NoError(t, c.Destroy(s.cpu))
			s.same()
		},
		"slub_poison_end": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a0f, 0x3a10)
			c := s.cache("demo_obj")
			p := s.by("Allocated").alloc(c)
			require.NoError(t, c.Free(s.cpu, s.freed(p)))
			s.write(p+63, PoisonFree, 1)
			s.now("")
			require.NoError(t, c.Free(s.cpu, s.alloc(c)))
			s.busy(c)
			s.same()
		},
		"slub_redzone_left":   func(t *testing.T, name string) { redZone(t, name, 0x3a51, -1, 0x12, 1) },
		"slub_redzone_right":  func(t *testing.T, name string) { redZone(t, name, 0x3a23, 64, 0x12, 1) },
		"slub_redzone_right4": func(t *testing.T, name string) { redZone(t, name, 0x3a2e, 64, 0x41, 4) },
		"slub_uaf_write": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a01, 0x3a02)
			c := s.cache("demo_obj")
			p := s.by("Allocated").alloc(c)
			require.NoError(t, c.Free(s.cpu, s.freed(p)))
			s.write(p+8, 0x99, 1)
			s.write(p+9, 0x98, 1)
			s.now("")
			q := s.alloc(c)
			require.NotEqual(t, p, q)
			require.NoError(t, c.Free(s.cpu, q))
			s.busy(c)
			s.same()
		},
		"slub_uaf_write_fp": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a02, 0x3a14)
			c := s.cache("demo_obj")
			p := s.by("Allocated").alloc(c)
			q := s.alloc(c)
			require.Equal(t, uint64(sampleOffset+0x3a020a8), q)
			require.NoError(t, c.Free(s.cpu, q))
			require.NoError(t, c.Free(s.cpu, s.freed(p)))
			s.write(p, 0x33, 80)
			s.now("")
			got := s.alloc(c)
			require.Equal(t, uint64(sampleOffset+0x3a14008), got)
			require.NoError(t, c.Free(s.cpu, got))
			s.busy(c)
			s.same()
		},
		"slub_wrong_cache": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a08)
			c, other := s.cache("demo_obj"), s.cache("demo_other")
			p := s.by("Allocated").alloc(c)
			s.now("")
			require.NoError(t, other.Free(s.cpu, p))
			require.NoError(t, other.Destroy(s.cpu))
			require.NoError(t, c.Destroy(s.cpu), "the object was freed to its own cache")
			s.same()
		},
		"slub_bad_pointer": func(t *testing.T, name string) {
			s := newSample(t, name, 0x3a85)
			c := s.cache("demo_obj")
			s.now("lost to the free pointer that is written at a wrong place")
			p := s.alloc(c)
			refused(s, "Invalid object pointer", c.Free(s.cpu, p+8))
			s.busy(c)
			s.same()
		},
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) { f(t, name) })
	}
}

// freed makes the next call the one that the text says freed the object.
func (s *sample) freed(p uint64) uint64 {
	s.by("Freed")
	return p
}

// redZone overwrites bytes beside an object in use and frees it.
func redZone(t *testing.T, name string, pfn buddy.PFN, at int, v byte, n int) {
	s := newSample(t, name, pfn)
	c := s.cache("demo_obj")
	p := s.by("Allocated").alloc(c)
	s.write(p+uint64(at), v, n)
	s.now("")
	var r *ReportError
	require.ErrorAs(t, c.Free(s.cpu, p), &r)
	// Some ticks pass until the cache is destroyed.
	var first, second int
	for i, m := range regexp.MustCompile(`age=(\d+)`).FindAllStringSubmatch(s.text, -1) {
		_, err := fmt.Sscan(m[1], []*int{&first, &second}[min(i, 1)])
		require.NoError(t, err)
	}
	s.task.Jiffies += uint64(second - first)
	s.busy(c)
	s.same()
}

// dumps reads the hex dumps of a sample.
func dumps(t *testing.T, text string) [][]byte {
	var out [][]byte
	row := regexp.MustCompile(`^demo: ([0-9a-f]{8}): ((?:[0-9a-f]{2} ){16})`)
	for line := range strings.Lines(text) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] == "00000000" {
			out = append(out, nil)
		}
		for _, h := range strings.Fields(m[2]) {
			out[len(out)-1] = append(out[len(out)-1], byte(num(t, h, 16)))
		}
	}
	return out
}

// TestObjectBytes compares an object and its neighbourhood byte by byte with a
// dump of the real thing, in use and freed; all but the addresses of code and the
// numbers of stacks, which are the kernel's own.
func TestObjectBytes(t *testing.T) {
	text := string(readGz(t, "reports/slub_layout.txt.gz"))
	want := dumps(t, text)
	require.Len(t, want, 2)
	s := &sample{T: t}
	c := NewConfig(Linux6_1, X86_64, 2)
	c.FreelistRandom, c.FreelistHardened, c.PageOffset = false, false, sampleOffset
	c.Debug = ParseDebugOption("FZPU", true, 0)
	a, err := New(c, &givenPages{[]buddy.PFN{0x38ee}})
	require.NoError(t, err)
	s.a = a
	cache := s.cache("demo_obj")
	// The dump begins 64 bytes before the object, which is the first of its
	// slab: 56 of them are another page's.
	const before, otherPage, tracks, trackSize = 64, 56, 0x90, 32
	compare := func(want []byte, addr uint64) {
		got := make([]byte, len(want)-otherPage)
		require.NoError(t, a.Read(addr-before+otherPage, got))
		got = append(make([]byte, otherPage), got...)
		for i := range want {
			if at := i - tracks; i < otherPage || at >= 0 && at < 2*trackSize && at%trackSize < 12 {
				got[i], want[i] = 0, 0
			}
		}
		assert.Equal(t, want, got)
	}
	task := Task{PID: 44, Comm: "sh", Caller: "slubcase+0x56/0x4a1 [demo]", Stack: []string{"x"}, Jiffies: 0xfffeeba4}
	a.SetTask(task)
	p := s.alloc(cache)
	compare(want[0], p)
	task.Jiffies++
	a.SetTask(task)
	require.NoError(t, cache.Free(0, p))
	compare(want[1], p)
}

// TestKUnitCounts repeats the kernel's own test lib/slub_kunit.c, which passed on
// the captured kernel: how many reports and repairs each damage gives.
func TestKUnitCounts(t *testing.T) {
	require.Contains(t, string(readGz(t, "reports/slub_kunit.txt.gz")), "slub_test: pass:5 fail:0")
	setup := func(t *testing.T, flags Flags) (*Allocator, *Cache, uint64) {
		a := newTest(t, Linux6_1, 2, nil)
		c, err := a.Create(Params{Name: "TestSlub", Size: 64, Flags: flags | NoUserFlags})
		require.NoError(t, err)
		p, err := c.Alloc(0, buddy.GFPKernel)
		require.NoError(t, err)
		return a, c, p
	}
	errorsOf := func(t *testing.T, a *Allocator, c *Cache) int {
		a.CountReports(true)
		_, err := c.Validate(0)
		require.NoError(t, err)
		return a.Reports()
	}
	t.Run("clobber_zone", func(t *testing.T) {
		a, c, p := setup(t, RedZone)
		require.NoError(t, a.Write(p+64, []byte{0x12}))
		assert.Equal(t, 2, errorsOf(t, a, c))
		require.NoError(t, c.Free(0, p))
		require.NoError(t, c.Destroy(0))
	})
	t.Run("next_pointer", func(t *testing.T) {
		a, c, p := setup(t, Poison)
		require.NoError(t, c.Free(0, p))
		at := p + uint64(c.Layout().Offset)
		b := make([]byte, 8)
		require.NoError(t, a.Read(at, b))
		require.NoError(t, a.Write(at, []byte{^b[0]}))
		assert.Equal(t, 3, errorsOf(t, a, c), "chain, count, repair")
		require.NoError(t, a.Write(at, b))
		assert.Equal(t, 2, errorsOf(t, a, c), "count, repair")
		assert.Equal(t, 0, errorsOf(t, a, c))
		require.NoError(t, c.Destroy(0))
	})
	for name, damage := range map[string]struct {
		flags Flags
		at    uint64
		v     byte
	}{
		"first_word":           {Poison, 0, 0x78},
		"clobber_50th_byte":    {Poison, 50, 0x9a},
		"clobber_redzone_free": {RedZone, 64, 0xab},
	} {
		t.Run(name, func(t *testing.T) {
			a, c, p := setup(t, damage.flags)
			require.NoError(t, c.Free(0, p))
			require.NoError(t, a.Write(p+damage.at, []byte{damage.v}))
			assert.Equal(t, 2, errorsOf(t, a, c))
			require.NoError(t, c.Destroy(0))
		})
	}
}
