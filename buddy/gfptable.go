package buddy

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// GFPVersion is a kernel's way to number and name GFP flags.
type GFPVersion uint8

// The ways that are known. What differs:
//
//   - 5.4 has neither __GFP_ZEROTAGS nor the KASAN flags.
//   - 6.1 has both, at fixed bits.
//   - 6.12 has no __GFP_ATOMIC (removed in 6.3), one __GFP_SKIP_KASAN (6.4),
//     __GFP_NO_OBJ_EXT (6.10), and GFP_NOWAIT includes __GFP_NOWARN (6.10); the
//     flags of options that are off take no bit.
//   - 6.18 prints the single flags in the order of their bits (6.15), and also
//     __GFP_NOLOCKDEP and __GFP_NO_OBJ_EXT, which earlier kernels print as a
//     number.
//
// Proof: the flags in the captures of 6.1 and 6.18 and the reports of 5.8 to
// 6.19 under testdata/gfp.tsv are printed as they were.
const (
	GFP5_4 GFPVersion = iota
	GFP6_1
	GFP6_12
	GFP6_18
	numGFPVersions = 4
)

// GFPOptions are the kernel options that give flags a bit or take it away.
type GFPOptions struct {
	// KASANHWTags is CONFIG_KASAN_HW_TAGS (arm64 with memory tagging).
	KASANHWTags bool
	// Lockdep is CONFIG_LOCKDEP.
	Lockdep bool
	// SlabObjExt is CONFIG_SLAB_OBJ_EXT, which CONFIG_MEMCG selects.
	SlabObjExt bool
}

// GFPTable translates [GFP] to and from the numbers and the text of one
// kernel. It does not change after [NewGFPTable].
type GFPTable struct {
	// bit[i] is the flag that the kernel has at bit i of gfp_t, 0 if none.
	bit [32]GFP
	// known are all flags that the kernel has.
	known GFP
	// names are tried in this order to print; each takes its flags away.
	names []gfpName
	// byName has the value of each name that can be read.
	byName map[string]GFP
}

type gfpName struct {
	mask GFP
	text string
}

// Tables of distribution kernels: no KASAN_HW_TAGS, no lockdep, memory cgroups.
var (
	GFPNames5_4  = NewGFPTable(GFP5_4, GFPOptions{})
	GFPNames6_1  = NewGFPTable(GFP6_1, GFPOptions{})
	GFPNames6_12 = NewGFPTable(GFP6_12, GFPOptions{SlabObjExt: true})
	GFPNames6_18 = NewGFPTable(GFP6_18, GFPOptions{SlabObjExt: true})
)

// NewGFPTable makes the table of a kernel version built with the options.
// Unknown versions are taken for the newest.
func NewGFPTable(version GFPVersion, options GFPOptions) *GFPTable {
	t := &GFPTable{byName: map[string]GFP{}}
	t.number(min(version, numGFPVersions-1), options)
	for _, b := range t.bit {
		t.known |= b
	}
	single := t.addSingleNames()
	t.names = t.printed(version, single)
	for _, n := range t.names {
		t.byName[n.text] = n.mask
	}
	return t
}

// number fills in which flag has which bit.
func (t *GFPTable) number(version GFPVersion, options GFPOptions) {
	const common = 23 // __GFP_DMA to __GFP_ACCOUNT: the same in all versions
	for i := range common {
		t.bit[i] = 1 << i
	}
	next := common
	add := func(flag GFP, present bool) {
		if present {
			t.bit[next] = flag
			next++
		}
	}
	switch version {
	case GFP5_4:
		add(GFPNoLockdep, options.Lockdep)
	case GFP6_1:
		t.bit[23] = GFPZeroTags
		if options.KASANHWTags {
			t.bit[24], t.bit[25], t.bit[26] = GFPSkipZero, GFPSkipKASANUnpoison, GFPSkipKASANPoison
		}
		if options.Lockdep {
			t.bit[27] = GFPNoLockdep
		}
	default:
		t.bit[9] = 0 // was __GFP_ATOMIC
		add(GFPZeroTags, true)
		add(GFPSkipZero, options.KASANHWTags)
		add(GFPSkipKASAN, options.KASANHWTags)
		add(GFPNoLockdep, options.Lockdep)
		add(GFPNoObjExt, options.SlabObjExt)
	}
}

// gfpSingleNames are the kernel's names of single flags without the leading
// __GFP_, in the order of their bits.
var gfpSingleNames = [...]struct {
	flag GFP
	text string
}{
	{GFPDMA, "DMA"}, {GFPHighMem, "HIGHMEM"}, {GFPDMA32, "DMA32"}, {GFPMovable, "MOVABLE"},
	{GFPReclaimable, "RECLAIMABLE"}, {GFPHigh, "HIGH"}, {GFPIO, "IO"}, {GFPFS, "FS"},
	{GFPZero, "ZERO"}, {GFPAtomicFlag, "ATOMIC"}, {GFPDirectReclaim, "DIRECT_RECLAIM"},
	{GFPKswapdReclaim, "KSWAPD_RECLAIM"}, {GFPWrite, "WRITE"}, {GFPNoWarn, "NOWARN"},
	{GFPRetryMayFail, "RETRY_MAYFAIL"}, {GFPNoFail, "NOFAIL"}, {GFPNoRetry, "NORETRY"},
	{GFPMemalloc, "MEMALLOC"}, {GFPComp, "COMP"}, {GFPNoMemalloc, "NOMEMALLOC"},
	{GFPHardwall, "HARDWALL"}, {GFPThisNode, "THISNODE"}, {GFPAccount, "ACCOUNT"},
	{GFPZeroTags, "ZEROTAGS"}, {GFPSkipZero, "SKIP_ZERO"}, {GFPSkipKASAN, "SKIP_KASAN"},
	{GFPSkipKASANPoison, "SKIP_KASAN_POISON"}, {GFPSkipKASANUnpoison, "SKIP_KASAN_UNPOISON"},
	{GFPNoLockdep, "NOLOCKDEP"}, {GFPNoObjExt, "NO_OBJ_EXT"},
}

// addSingleNames makes all single flags readable, also those that this kernel
// lacks, and gives those that it has by name.
func (t *GFPTable) addSingleNames() map[string]GFP {
	have := map[string]GFP{}
	for _, n := range gfpSingleNames {
		t.byName["__GFP_"+n.text] = n.flag
		if t.hasFlag(n.flag) {
			have[n.text] = n.flag
		}
	}
	t.byName["__GFP_RECLAIM"] = GFPReclaim
	return have
}

// hasFlag says whether one bit of the kernel's gfp_t stands for the flag.
func (t *GFPTable) hasFlag(flag GFP) bool {
	for _, b := range t.bit {
		if b == flag {
			return true
		}
	}
	return false
}

// gfpSingleOrder is in which order kernels before 6.15 try the single flags
// that follow __GFP_HIGHMEM and GFP_DMA32.
const gfpSingleOrder = "HIGH ATOMIC IO FS NOWARN RETRY_MAYFAIL NOFAIL NORETRY COMP ZERO " +
	"NOMEMALLOC MEMALLOC HARDWALL THISNODE RECLAIMABLE MOVABLE ACCOUNT WRITE"

// printed lists the names that the kernel prints, in the order it tries them:
// the composites with most flags first, then what may be left over.
func (t *GFPTable) printed(version GFPVersion, single map[string]GFP) []gfpName {
	names := t.composites(version)
	add := func(text string) {
		if flag, ok := single[text]; ok {
			names = append(names, gfpName{flag, "__GFP_" + text})
		}
	}
	names = append(names, gfpName{GFPDMA, "GFP_DMA"})
	if version >= GFP6_18 {
		names = append(names, gfpName{GFPDMA32, "GFP_DMA32"}, gfpName{GFPReclaim, "__GFP_RECLAIM"})
		for _, n := range gfpSingleNames {
			add(n.text)
		}
		return names
	}
	add("HIGHMEM")
	names = append(names, gfpName{GFPDMA32, "GFP_DMA32"})
	for _, text := range strings.Fields(gfpSingleOrder) {
		add(text)
	}
	names = append(names, gfpName{GFPReclaim, "__GFP_RECLAIM"})
	for _, text := range []string{"DIRECT_RECLAIM", "KSWAPD_RECLAIM", "ZEROTAGS",
		"SKIP_ZERO", "SKIP_KASAN", "SKIP_KASAN_POISON", "SKIP_KASAN_UNPOISON"} {
		add(text)
	}
	return names
}

// composites lists GFP_TRANSHUGE to GFP_NOWAIT with this kernel's values.
func (t *GFPTable) composites(version GFPVersion) []gfpName {
	atomic, nowait := GFPAtomic, GFPNowait
	if version >= GFP6_12 {
		atomic &^= GFPAtomicFlag
		nowait |= GFPNoWarn
	}
	// A user page's tags are left to the page fault where tags exist.
	skip := GFPSkipKASAN & t.known
	return []gfpName{
		{GFPTransHuge | skip, "GFP_TRANSHUGE"},
		{GFPTransHugeLight | skip, "GFP_TRANSHUGE_LIGHT"},
		{GFPHighUserMovable | skip, "GFP_HIGHUSER_MOVABLE"},
		{GFPHighUser, "GFP_HIGHUSER"},
		{GFPUser, "GFP_USER"},
		{GFPKernelAccount, "GFP_KERNEL_ACCOUNT"},
		{GFPKernel, "GFP_KERNEL"},
		{GFPNoFS, "GFP_NOFS"},
		{atomic, "GFP_ATOMIC"},
		{GFPNoIO, "GFP_NOIO"},
		{nowait, "GFP_NOWAIT"},
	}
}

// Composite gives the value that a name, like "GFP_ATOMIC" or "__GFP_IO", has
// in this kernel. ok is false if the name is unknown.
func (t *GFPTable) Composite(name string) (g GFP, ok bool) {
	g, ok = t.byName[name]
	return g, ok
}

// Known are all flags that the kernel has.
func (t *GFPTable) Known() GFP { return t.known }

// gfpUnknownShift is where a GFP keeps bits that the kernel has no flag for.
const gfpUnknownShift = 32

// Number is the kernel's gfp_t. Flags that the kernel lacks are left out, as
// if they were defined as 0.
func (t *GFPTable) Number(g GFP) uint32 {
	n := uint32(g >> gfpUnknownShift)
	for i, flag := range t.bit {
		if flag != 0 && g.Has(flag) {
			n |= 1 << i
		}
	}
	return n
}

// FromNumber is the inverse of [GFPTable.Number].
func (t *GFPTable) FromNumber(n uint32) GFP {
	var g GFP
	for ; n != 0; n &= n - 1 {
		i := bits.TrailingZeros32(n)
		if t.bit[i] != 0 {
			g |= t.bit[i]
		} else {
			g |= 1 << (gfpUnknownShift + i)
		}
	}
	return g
}

// String prints the flags as the kernel's tracepoints do (show_gfp_flags):
// "GFP_KERNEL|__GFP_ZERO", unnamed bits as a number at the end, "none" if no
// flag is set.
func (t *GFPTable) String(g GFP) string {
	if s := t.Append(nil, g); len(s) > 0 {
		return string(s)
	}
	return "none"
}

// Append appends what the kernel's %pGg prints, as in the mode of a failure
// report: like [GFPTable.String], but nothing if no flag is set.
func (t *GFPTable) Append(dst []byte, g GFP) []byte {
	rest := t.FromNumber(t.Number(g))
	start := len(dst)
	separate := func() {
		if len(dst) > start {
			dst = append(dst, '|')
		}
	}
	for i := range t.names {
		if rest == 0 {
			return dst
		}
		if n := &t.names[i]; rest.Has(n.mask) {
			separate()
			dst = append(dst, n.text...)
			rest &^= n.mask
		}
	}
	if rest != 0 {
		separate()
		dst = append(dst, "0x"...)
		dst = strconv.AppendUint(dst, uint64(t.Number(rest)), 16)
	}
	return dst
}

// Parse reads what [GFPTable.String] and [GFPTable.Append] print: names and
// numbers (0x…, in this kernel's numbering) joined by "|", in any order, or
// "none", or nothing. Single flags that only other kernels have can be read
// too. The error is a [*GFPSyntaxError].
func (t *GFPTable) Parse(s string) (GFP, error) {
	if s == "" || s == "none" {
		return 0, nil
	}
	var g GFP
	for rest, more := s, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, "|")
		flags, ok := t.parseToken(strings.TrimSpace(token))
		if !ok {
			return 0, &GFPSyntaxError{Input: s, Token: token}
		}
		g |= flags
	}
	return g, nil
}

func (t *GFPTable) parseToken(token string) (GFP, bool) {
	if flags, ok := t.byName[token]; ok {
		return flags, true
	}
	digits, isHex := strings.CutPrefix(token, "0x")
	if !isHex {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	return t.FromNumber(uint32(n)), err == nil
}

// GFPSyntaxError says which part of a text is no GFP flag.
type GFPSyntaxError struct {
	Input, Token string
}

func (e *GFPSyntaxError) Error() string {
	return fmt.Sprintf("buddy: %q in %q is no GFP flag, want a name like GFP_KERNEL or __GFP_ZERO, or 0x and a number",
		e.Token, e.Input)
}

// String prints the flags as a 6.1 kernel without debugging options does.
func (g GFP) String() string { return GFPNames6_1.String(g) }

// ParseGFP reads flags as a 6.1 kernel prints them, see [GFPTable.Parse]. For
// another kernel's text use its table: "GFP_NOWAIT" does not always mean the
// same.
func ParseGFP(s string) (GFP, error) { return GFPNames6_1.Parse(s) }
