package fault

import (
	"bytes"
	"fmt"
	"io"

	"github.com/kernsim/kernsim/mm/vma"
)

// usage is what smaps tells of a range, in bytes; shares of pages have binary
// places.
type usage struct {
	size, rss, referenced, anonymous                     uint64
	sharedClean, sharedDirty, privateClean, privateDirty uint64
	pss, pssDirty, pssAnon, pssFile, pssShmem, locked    uint64
	huge, sharedTLB, privateTLB                          uint64
}

// pssShift are the binary places of a page's share (PSS_SHIFT).
const pssShift = 12

// mapped counts how many page table entries of all processes have each page of a
// file.
func (m *Machine) mapped() map[filePos]uint32 {
	count := map[filePos]uint32{}
	for _, x := range m.members {
		x.s.Each(func(v vma.VMA) bool {
			x.each(v.Start, v.End, func(e *entry, at uint64) {
				if e.flags&(filePage|shmemPage) != 0 {
					count[filePos{v.File, v.PageOffset + (at-v.Start)>>pageShift}]++
				}
			})
			return true
		})
	}
	return count
}

// gather adds a VMA's pages (smap_gather_stats).
func (x *Memory) gather(u *usage, v *vma.VMA, mapped map[filePos]uint32) {
	u.size += v.End - v.Start
	x.eachTable(v.Start, v.End, func(key uint64) {
		if t := x.tables[key]; t.huge && t.entries[0].flags&zeroPage == 0 {
			u.huge += hugeSize
		}
	})
	for _, e := range x.tlb {
		switch {
		case e.addr < v.Start || e.addr >= v.End:
		case e.page.refs > 1:
			u.sharedTLB += v.HugePageSize()
		default:
			u.privateTLB += v.HugePageSize()
		}
	}
	x.each(v.Start, v.End, func(e *entry, at uint64) {
		if e.flags&zeroPage != 0 {
			return
		}
		u.rss += pageSize
		pos := filePos{v.File, v.PageOffset + (at-v.Start)>>pageShift}
		sharers, dirty, kind := mapped[pos], x.m.dirty[pos], &u.pssFile
		switch {
		case e.frame != 0:
			u.anonymous += pageSize
			sharers, dirty, kind = x.m.refs[e.frame-1], true, &u.pssAnon
		case e.flags&shmemPage != 0:
			kind = &u.pssShmem
		}
		if e.flags&old == 0 {
			u.referenced += pageSize
		}
		share := uint64(pageSize) << pssShift / uint64(sharers)
		u.pss += share
		*kind += share
		if v.Flags&vma.Locked != 0 {
			u.locked += share
		}
		if dirty {
			u.pssDirty += share
		}
		*[2][2]*uint64{{&u.privateClean, &u.privateDirty}, {&u.sharedClean, &u.sharedDirty}}[b2i(sharers > 1)][b2i(dirty)] += pageSize
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// vmFlagNames are the two letters of each flag in smaps, by number.
var vmFlagNames = []struct {
	f    vma.Flags
	name string
}{
	{vma.Read, "rd"}, {vma.Write, "wr"}, {vma.Exec, "ex"}, {vma.Shared, "sh"}, {vma.MayRead, "mr"}, {vma.MayWrite, "mw"}, {vma.MayExec, "me"},
	{vma.MayShare, "ms"}, {vma.GrowsDown, "gd"}, {vma.Locked, "lo"}, {vma.SeqRead, "sr"}, {vma.RandRead, "rr"}, {vma.DontCopy, "dc"}, {vma.DontExpand, "de"},
	{vma.Account, "ac"}, {vma.NoReserve, "nr"}, {vma.HugeTLB, "ht"}, {vma.WipeOnFork, "wf"}, {vma.DontDump, "dd"}, {vma.HugePage, "hg"}, {vma.NoHugePage, "nh"}, {vma.Mergeable, "mg"},
}

// line writes a figure in bytes.
func line(b *bytes.Buffer, name string, n uint64) { fmt.Fprintf(b, "%-16s%8d kB\n", name+":", n>>10) }

// write writes the figures (__show_smap). newer has the row of KSM.
func (u *usage) write(b *bytes.Buffer, rollup, newer bool) {
	line(b, "Rss", u.rss)
	line(b, "Pss", u.pss>>pssShift)
	line(b, "Pss_Dirty", u.pssDirty>>pssShift)
	if rollup {
		line(b, "Pss_Anon", u.pssAnon>>pssShift)
		line(b, "Pss_File", u.pssFile>>pssShift)
		line(b, "Pss_Shmem", u.pssShmem>>pssShift)
	}
	line(b, "Shared_Clean", u.sharedClean)
	line(b, "Shared_Dirty", u.sharedDirty)
	line(b, "Private_Clean", u.privateClean)
	line(b, "Private_Dirty", u.privateDirty)
	line(b, "Referenced", u.referenced)
	line(b, "Anonymous", u.anonymous)
	if newer {
		line(b, "KSM", 0)
	}
	line(b, "LazyFree", 0)
	line(b, "AnonHugePages", u.huge)
	line(b, "ShmemPmdMapped", 0)
	line(b, "FilePmdMapped", 0)
	line(b, "Shared_Hugetlb", u.sharedTLB)
	line(b, "Private_Hugetlb", u.privateTLB)
	line(b, "Swap", 0)
	line(b, "SwapPss", 0)
	line(b, "Locked", u.locked>>pssShift)
}

// WriteSmaps writes /proc/PID/smaps as Linux 6.1 does, or, with newer, as 6.6 and
// later: each VMA with its pages. A page's share (Pss) counts the processes of the
// Machine that have it. Soft-dirty bits and protection keys are left out.
func (x *Memory) WriteSmaps(w io.Writer, newer bool) error {
	var b bytes.Buffer
	mapped := x.m.mapped()
	x.s.Each(func(v vma.VMA) bool {
		x.s.WriteMap(&b, &v)
		var u usage
		x.gather(&u, &v, mapped)
		line(&b, "Size", u.size)
		line(&b, "KernelPageSize", max(v.HugePageSize(), pageSize))
		line(&b, "MMUPageSize", max(v.HugePageSize(), pageSize))
		u.write(&b, false, newer)
		fmt.Fprintf(&b, "THPeligible:    %8d\nVmFlags: ", b2i(x.fits(&v)))
		for _, f := range vmFlagNames {
			if v.Flags&f.f != 0 {
				b.WriteString(f.name + " ")
			}
		}
		b.WriteByte('\n')
		return true
	})
	_, err := b.WriteTo(w)
	return err
}

// WriteSmapsRollup writes /proc/PID/smaps_rollup: the sums over all VMAs.
func (x *Memory) WriteSmapsRollup(w io.Writer, newer bool) error {
	var b bytes.Buffer
	var u usage
	mapped := x.m.mapped()
	first, last := uint64(0), uint64(0)
	x.s.Each(func(v vma.VMA) bool {
		if last == 0 {
			first = v.Start
		}
		last = v.End
		x.gather(&u, &v, mapped)
		return true
	})
	all := vma.VMA{Start: first, End: last}
	x.s.WriteRange(&b, &all, "[rollup]")
	u.write(&b, true, newer)
	_, err := b.WriteTo(w)
	return err
}

// WriteStatm writes /proc/PID/statm.
func (x *Memory) WriteStatm(w io.Writer) error {
	return x.s.WriteStatm(w, x.Resident(), x.FilePages+x.ShmemPages)
}

// WriteStatus writes the lines of /proc/PID/status about sizes and resident pages
// (task_mem). VmPin and VmSwap are 0; what the text and the libraries take and page
// tables are left out.
func (x *Memory) WriteStatus(w io.Writer) error {
	x.note()
	var b bytes.Buffer
	row := func(name string, pages uint64) { fmt.Fprintf(&b, "%s:\t%8d kB\n", name, pages*pageSize>>10) }
	stack := uint64(0)
	x.s.Each(func(v vma.VMA) bool {
		if v.Flags&vma.GrowsDown != 0 {
			stack += v.Pages()
		}
		return true
	})
	row("VmPeak", x.peak)
	row("VmSize", x.s.TotalPages())
	row("VmLck", x.s.LockedPages())
	row("VmPin", 0)
	row("VmHWM", x.peakResident)
	row("VmRSS", x.Resident())
	row("RssAnon", x.AnonPages)
	row("RssFile", x.FilePages)
	row("RssShmem", x.ShmemPages)
	row("VmData", x.s.DataPages())
	row("VmStk", stack)
	row("VmSwap", 0)
	_, err := b.WriteTo(w)
	return err
}

// note keeps the highest figures, before they fall (update_hiwater_rss,
// update_hiwater_vm).
func (x *Memory) note() {
	x.peak, x.peakResident = max(x.peak, x.s.TotalPages()), max(x.peakResident, x.Resident())
}
