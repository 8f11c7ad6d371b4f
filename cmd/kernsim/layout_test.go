package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLayoutCommand(t *testing.T) {
	code, stdout, stderr := command("layout", "x86_64", "--va-bits", "57", "--kaslr-state", "f5e0782c")
	require.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stdout, "ff1667a140000000 - ff2667a13fffffff       4 PiB  direct map\n")
	assert.Contains(t, stdout, "ff8fe65e40000000 - ff90265e3fffffff      64 TiB  vmemmap\n")

	code, stdout, stderr = command("layout", "arm64", "--va-bits", "39", "--memory", "2G", "--largest", "4K", "--translate", "0xffffff8012345678,ffffffc000000000")
	require.Equal(t, exitExact, code, stderr)
	assert.Contains(t, stdout, `
0xffffff8012345678: direct map, physical 0x12345678, page frame 74565, struct page 0xfffffffe0048d140
  PGD[0] at 0x7ffff000 = 0x100000007fffe003  table 0x7fffe000
  PMD[145] at 0x7fffe488 = 0x100000007ff6c003  table 0x7ff6c000
  PTE[325] at 0x7ff6ca28 = 0x0068000012345703  leaf 0x12345000 read+write+global+accessed+dirty

0xffffffc000000000: modules
layout: virt_to_phys(0xffffffc000000000): in modules, which is not mapped linearly (kernel: with CONFIG_DEBUG_VIRTUAL: WARNING: virt_to_phys used for non-linear address; without: a wrong address)
`)
	code, stdout, _ = command("layout", "--draw", "arm", "--split", "1G/3G", "--memory", "80000000-c0000000")
	assert.Equal(t, exitExact, code)
	assert.Contains(t, stdout, "direct map  [1 GiB]")
}

func TestLayoutCommandJSON(t *testing.T) {
	run := func(args ...string) layoutOut {
		code, stdout, stderr := command(append([]string{"layout", "--json"}, args...)...)
		require.Equal(t, exitExact, code, stderr)
		var out layoutOut
		require.NoError(t, json.Unmarshal([]byte(stdout), &out))
		return out
	}
	a := run("x86_64", "--kaslr", "3", "--process", "--seed", "9", "--translate", "1000")
	assert.Equal(t, a, run("x86_64", "--kaslr", "3", "--process", "--seed", "9", "--translate", "1000"))
	assert.NotEqual(t, a.PageOffset, run("x86_64", "--kaslr", "4").PageOffset)
	assert.NotEqual(t, a.Process.MmapBase, run("x86_64", "--process", "--seed", "10").Process.MmapBase)
	assert.Len(t, a.Process.Draws, 4)
	require.Len(t, a.Translated, 1)
	assert.Equal(t, "user space", a.Translated[0].Region)
	assert.Equal(t, "0xb8000000", run("x86", "--process", "--randomize-va-space", "0").Process.MmapBase)
}

func TestLayoutCommandRefuses(t *testing.T) {
	for _, args := range [][]string{
		{}, {"vax"}, {"x86_64", "arm"}, {"x86_64", "--kernel", "2.4"}, {"x86_64", "--va-bits", "32"}, {"arm", "--split", "5G"}, {"arm64", "--page-size", "x"},
		{"x86_64", "--memory", "x"}, {"x86_64", "--memory", "1-z"}, {"x86_64", "--memory", "5-3"}, {"x86_64", "--kaslr", "x"}, {"x86_64", "--kaslr-state", "123456789"},
		{"x86_64", "--program", "x"}, {"x86_64", "--stack", "x"}, {"x86_64", "--process", "--randomize-va-space", "3"}, {"x86_64", "--translate", "zz"},
		{"x86_64", "--translate", "0", "--largest", "1"}, {"x86_64", "--memory", "40000G", "--translate", "0", "--largest", "4K"}, {"arm", "--kaslr", "1"},
	} {
		code, _, stderr := command(append([]string{"layout"}, args...)...)
		assert.Equal(t, exitUnusable, code, args)
		assert.NotEmpty(t, stderr, args)
	}
}
