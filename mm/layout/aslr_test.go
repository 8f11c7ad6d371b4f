package layout

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seen is a row of testdata/maps.txt.
type seen struct {
	line   string
	kernel string
	p      ProcessConfig
	// the first page mapped, the stack's end, heap, vDSO, program's range
	mmap, stackTop, brk, vdso, vdsoSize, prog, progEnd uint64
}

func readMaps(t *testing.T) []seen {
	t.Helper()
	lines := readLines(t, "maps.txt")[1:]
	var out []seen
	for _, line := range lines {
		f := strings.Split(line, "\t")
		require.Len(t, f, 14)
		s := seen{line: line, kernel: f[0]}
		va, err := strconv.Atoi(f[1])
		require.NoError(t, err)
		personality := hexOf(t, f[3])
		s.p = ProcessConfig{
			RandomizeVASpace: va, NoRandomize: personality&0x40000 != 0, Legacy: f[2] == "1" || personality&0x200000 != 0,
			StackLimit: hexOf(t, f[4]), Compat: strings.HasPrefix(f[5], "p32"), Strings: 300,
		}
		if strings.HasSuffix(f[5], "p") {
			s.p.Program = StaticPIE
		}
		for i, to := range []*uint64{&s.mmap, &s.stackTop, &s.brk, nil, &s.vdso, &s.vdsoSize, &s.prog, &s.progEnd} {
			if to != nil {
				*to = hexOf(t, f[6+i])
			}
		}
		s.p.VDSOSize = s.vdsoSize
		if s.p.Program == Exec {
			s.p.ProgramEnd = s.progEnd
		}
		out = append(out, s)
	}
	require.Equal(t, 744, len(out))
	return out
}

// mmapBase finds the base in what the process saw: the end of what was mapped
// in the mmap area first, or its start where the area grows up.
func (s *seen) mmapBase(vdsoAbove bool) uint64 {
	base := s.mmap + 4096
	if s.p.Legacy {
		base = s.mmap
	}
	take := func(start, end uint64) {
		if s.p.Legacy {
			base = min(base, start)
		} else {
			base = max(base, end)
		}
	}
	if !vdsoAbove {
		take(s.vdso, s.vdso+s.vdsoSize)
	}
	if s.p.Program == StaticPIE {
		take(s.prog, s.progEnd)
	}
	return base
}

// script gives words in order.
func script(words []uint64) Source {
	return func() uint64 {
		w := words[0]
		words = words[1:]
		return w
	}
}

// vdsoWord appends the word for the vDSO's place above the stack; how many there are to choose
// from follows from the stack's place.
func (s *seen) vdsoWord(words []uint64, above bool) []uint64 {
	const page, pmd = 4096, 2 << 20
	end := min((s.stackTop+s.vdsoSize+pmd-1)&^(pmd-1), 1<<47-page) - s.vdsoSize
	if end <= s.stackTop {
		return words
	}
	n := (end-s.stackTop)/page + 1
	v := uint64(0)
	if above {
		v = (s.vdso - s.stackTop) / page
	}
	return append(words, (v<<32+n-1)/n)
}

// Each process is laid out again from the values that were drawn. A row without
// randomness has to be equal as it stands; one with has to have, for each draw, a value
// below the model's number of choices, from which the model gives the row's addresses.
func TestProcessesAreEqual(t *testing.T) {
	exact := 0
	values := map[string][]float64{}
	for _, s := range readMaps(t) {
		c := Config{}
		if strings.HasPrefix(s.kernel, "6.18") {
			// As 6.12, whose vDSO is in the mmap area.
			c.Kernel = Linux6_12
		}
		if strings.Contains(s.kernel, "-686") {
			c.Arch, s.p.Compat = X86, false
			c.PAE = strings.HasSuffix(s.kernel, "pae")
		}
		if strings.HasSuffix(s.kernel, "la57") {
			c.VABits = 57
		}
		l, err := New(c)
		require.NoError(t, err)
		zero, err := l.Exec(s.p, func() uint64 { return 0 })
		require.NoError(t, err)
		above := s.vdso >= s.stackTop
		var words []uint64
		ok := true
		for _, d := range zero.Draws {
			var away uint64 // from the place with the value 0
			switch d.What {
			case "mmap":
				away = zero.MmapBase - s.mmapBase(above)
				if s.p.Legacy {
					away = -away
				}
			case "stack":
				away = zero.StackTop - s.stackTop
			case "heap":
				away = s.brk - zero.Brk
			}
			v := away / d.Step
			ok = assert.Zero(t, away%d.Step, "%s: %s", d.What, s.line)
			ok = ok && assert.Less(t, v, d.Choices, "%s: %s", d.What, s.line)
			if d.What == "mmap" && c.Arch == X86_64 {
				words = append(words, v) // for both layouts
			}
			words = append(words, v)
			if d.What == "stack" && c.Kernel == Linux6_1 && c.Arch == X86_64 && !s.p.Compat {
				words = s.vdsoWord(words, above)
			}
			key := fmt.Sprint(s.p.Compat, d.What, d.Choices)
			values[key] = append(values[key], float64(v)/float64(d.Choices))
		}
		got, err := l.Exec(s.p, script(append(words, 0, 0, 0)))
		require.NoError(t, err)
		want := *got
		want.MmapBase, want.StackTop, want.Brk, want.TopDown = s.mmapBase(above), s.stackTop, s.brk, !s.p.Legacy
		want.VDSO = 0
		if above {
			want.VDSO = s.vdso
		}
		if assert.Equal(t, want, *got, s.line) && ok {
			exact++
		}
	}
	assert.Equal(t, 744, exact)
	// The values fill the range: with one bit more, or less, none would be in
	// the upper half, or some beyond the end.
	for _, key := range []string{"falsemmap268435456", "falsestack4194304", "falseheap262144", "truemmap256", "truestack2048", "trueheap8192"} {
		high := 0
		for _, v := range values[key] {
			if v >= 0.5 {
				high++
			}
		}
		n := len(values[key])
		assert.Greater(t, n, 50, key)
		assert.True(t, high > n/4 && high < n*3/4, "%s: %d of %d in the upper half", key, high, n)
	}
}

func TestExecRefuses(t *testing.T) {
	l, err := New(Config{})
	require.NoError(t, err)
	for _, p := range []ProcessConfig{
		{RandomizeVASpace: 3}, {RandomizeVASpace: -1}, {MmapRndBits: 27}, {MmapRndBits: 33}, {MmapRndCompatBits: 7}, {MmapRndCompatBits: 17},
		{Program: 9}, {Align: 3}, {GuardGap: 1 << 20}, {Strings: 7 << 20}, {VDSOSize: 5}, {ProgramEnd: 1 << 50},
	} {
		_, err := l.Exec(p, NewSource(1))
		var bad *ConfigError
		assert.ErrorAs(t, err, &bad, "%+v", p)
	}
	l, err = New(Config{Arch: ARM})
	require.NoError(t, err)
	_, err = l.Exec(ProcessConfig{Compat: true}, NewSource(1))
	assert.Error(t, err)
}

// What the other architectures' rules give, by hand.
func TestProcessesOfOtherArchitectures(t *testing.T) {
	for _, c := range []struct {
		c    Config
		p    ProcessConfig
		want Process
	}{
		// 8 MiB of stack and the guard gap are less than 128 MiB.
		{Config{Arch: ARM64, VABits: 39}, ProcessConfig{StackLimit: 8 << 20, ProgramEnd: 0x5000, Program: PIE},
			Process{TaskSize: 1 << 39, MmapBase: 1<<39 - 128<<20, TopDown: true, StackTop: 1 << 39, LoadBias: 0x5555555000, Brk: 0x555555a000}},
		// With an unlimited stack arm64 falls back to the area that grows up.
		{Config{Arch: ARM64}, ProcessConfig{StackLimit: ^uint64(0), ProgramEnd: 0x5000},
			Process{TaskSize: 1 << 48, MmapBase: 1 << 46, StackTop: 1 << 48, Brk: 0x5000}},
		{Config{Arch: ARM}, ProcessConfig{StackLimit: 8 << 20, ProgramEnd: 0x20001},
			Process{TaskSize: 0xbf000000, MmapBase: 0xb7000000, TopDown: true, StackTop: 0xbf000000, Brk: 0x21000}},
		{Config{Arch: ARM, Split: Split2G}, ProcessConfig{StackLimit: 1 << 30, ProgramEnd: 0x20000},
			Process{TaskSize: 0x7f000000, MmapBase: 0x3ef00000, TopDown: true, StackTop: 0x7f000000, Brk: 0x20000}},
		{Config{Arch: X86}, ProcessConfig{StackLimit: 8 << 20, ProgramEnd: 0x8050000},
			Process{TaskSize: 0xc0000000, MmapBase: 0xb8000000, TopDown: true, StackTop: 0xc0000000, Brk: 0x8050000}},
	} {
		l, err := New(c.c)
		require.NoError(t, err)
		got, err := l.Exec(c.p, NewSource(1))
		require.NoError(t, err)
		assert.Equal(t, c.want, *got, l.Title())
	}
}

func TestExecIsSeeded(t *testing.T) {
	l, err := New(Config{})
	require.NoError(t, err)
	p := ProcessConfig{RandomizeVASpace: 2, StackLimit: 8 << 20, Program: PIE, VDSOSize: 0x6000}
	a, err := l.Exec(p, NewSource(7))
	require.NoError(t, err)
	b, err := l.Exec(p, NewSource(7))
	require.NoError(t, err)
	c, err := l.Exec(p, NewSource(8))
	require.NoError(t, err)
	assert.Equal(t, a, b)
	assert.NotEqual(t, a, c)
	require.Len(t, a.Draws, 5)
	for _, d := range a.Draws {
		assert.Less(t, d.Value, d.Choices, d.What)
	}
}

// What a draw of 0 gives: in captured processes a page more or less is not told
// from another draw.
func TestDrawsOfZero(t *testing.T) {
	l, err := New(Config{})
	require.NoError(t, err)
	p, err := l.Exec(ProcessConfig{RandomizeVASpace: 2, StackLimit: 8 << 20, ProgramEnd: 0x403000}, func() uint64 { return 0 })
	require.NoError(t, err)
	// Below the top: 8 MiB of limit, 1 MiB of guard gap, 2^22-1 pages that the stack may move.
	assert.Equal(t, uint64(0x7ffbff700000), p.MmapBase)
	assert.Equal(t, uint64(0x404000), p.Brk, "a page after the program stays free")
	l, err = New(Config{Kernel: Linux5_4})
	require.NoError(t, err)
	p, err = l.Exec(ProcessConfig{RandomizeVASpace: 2, StackLimit: 8 << 20, ProgramEnd: 0x403000}, func() uint64 { return 0 })
	require.NoError(t, err)
	assert.Equal(t, uint64(0x403000), p.Brk)
	assert.Equal(t, Draw{"heap", 4096, 8192, 0}, p.Draws[2], "32 MiB")
}
