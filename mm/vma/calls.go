package vma

import "math"

// Mmap maps a length of memory at or near an address (do_mmap): of a file from
// a page offset on, or, with MapAnonymous, of nothing. It gives the address.
func (s *Space) Mmap(addr, length uint64, prot Prot, flags MapFlags, file *File, pageOffset uint64) (uint64, error) {
	const call = "mmap"
	if length == 0 {
		return 0, refuse(call, "EINVAL", "a length of 0")
	}
	if flags&MapFixedNoReplace != 0 {
		flags |= MapFixed
	}
	if flags&MapFixed == 0 {
		if addr &^= pageSize - 1; addr != 0 && addr < s.c.MmapMinAddr {
			addr = align(s.c.MmapMinAddr)
		}
	}
	size, page := align(length), uint64(0)
	if flags&(MapHugeTLB|MapAnonymous) == MapHugeTLB|MapAnonymous {
		var err error
		if page, err = s.hugeSize(call, flags); err != nil {
			return 0, err
		}
		size = (length + page - 1) &^ (page - 1)
	}
	if size == 0 {
		return 0, refuse(call, "ENOMEM", "a length of %#x", length)
	}
	if flags&MapAnonymous != 0 {
		file = nil
	} else if file == nil {
		return 0, refuse(call, "EBADF", "no file, and not MAP_ANONYMOUS")
	}
	if file != nil && pageOffset > math.MaxUint64>>pageShift-size>>pageShift {
		return 0, refuse(call, "EOVERFLOW", "offset of %d pages", pageOffset)
	}
	if s.Count() > s.c.MaxMapCount {
		return 0, refuse(call, "ENOMEM", "%d VMAs are more than max_map_count", s.Count())
	}
	var err error
	if page > 0 {
		addr, err = s.hugePlace(call, addr, size, page, flags)
		file, pageOffset = &File{Path: "/anon_hugepage (deleted)", huge: page}, 0
	} else {
		addr, err = s.unmapped(call, addr, size, flags)
	}
	if err != nil {
		return 0, err
	}
	if flags&MapFixedNoReplace != 0 {
		if v, ok := s.Find(addr); ok && v.Start < addr+size {
			return 0, refuse(call, "EEXIST", "something is mapped at %#x", v.Start)
		}
	}
	v := VMA{Start: addr, End: addr + size, File: file, PageOffset: pageOffset}
	v.Flags = protFlags(prot) | MayRead | MayWrite | MayExec | s.future
	if flags&MapGrowsDown != 0 {
		v.Flags |= GrowsDown
	}
	if flags&MapLocked != 0 {
		v.Flags |= Locked
	}
	if !s.mayLock(v.Flags, v.Pages()) {
		return 0, refuse(call, "EAGAIN", "RLIMIT_MEMLOCK is %d bytes", s.c.Limits.Memlock)
	}
	switch flags & mapType {
	case MapShared, MapSharedValidate:
		if file == nil && v.Flags&GrowsDown != 0 {
			return 0, refuse(call, "EINVAL", "a shared stack")
		}
		v.Flags |= Shared | MayShare
		switch {
		case file == nil:
			// Memory of its own, like a file without a name.
			v.File, v.PageOffset = &File{Path: "/dev/zero (deleted)", zero: true}, 0
		case file.ReadOnly && prot&ProtWrite != 0:
			return 0, refuse(call, "EACCES", "%s is open for reading only", file.Path)
		case file.ReadOnly:
			v.Flags &^= MayWrite | Shared
		}
	case MapPrivate:
		if file == nil {
			v.PageOffset = addr >> pageShift
		} else if v.Flags&GrowsDown != 0 {
			return 0, refuse(call, "EINVAL", "a stack of a file")
		}
	default:
		return 0, refuse(call, "EINVAL", "flags %#x: neither shared nor private", uint32(flags))
	}
	if flags&MapNoReserve != 0 {
		v.Flags |= NoReserve
	}
	if page > 0 {
		v.Flags |= HugeTLB | DontExpand
		if v.Flags&NoReserve == 0 && !s.c.Huge.promise(size/page) {
			return 0, refuse(call, "ENOMEM", "%d huge pages are not free", size/page)
		}
		switch {
		case v.Flags&NoReserve != 0:
		case v.Flags&Shared != 0:
			v.File.kept = size / page
		default:
			v.Promised = true
		}
		s.hold(&v, size/page)
	}
	if err := s.mapRegion(call, v); err != nil {
		if page > 0 {
			s.release(&v, size/page)
		}
		return addr, err
	}
	if v.Flags&Locked != 0 || flags&(MapPopulate|0x10000) == MapPopulate { // not with MAP_NONBLOCK
		s.populate(v.Start, v.End)
	}
	return addr, nil
}

func protFlags(p Prot) (f Flags) {
	if p&ProtRead != 0 {
		f |= Read
	}
	if p&ProtWrite != 0 {
		f |= Write
	}
	if p&ProtExec != 0 {
		f |= Exec
	}
	return f
}

// unmapped finds the place for a mapping (get_unmapped_area).
func (s *Space) unmapped(call string, addr, size uint64, flags MapFlags) (uint64, error) {
	if size > s.c.TaskSize {
		return 0, refuse(call, "ENOMEM", "%#x bytes are more than the address space", size)
	}
	if flags&MapFixed != 0 {
		switch {
		case addr > s.c.TaskSize-size:
			return 0, refuse(call, "ENOMEM", "%#x is beyond the end of the address space", addr)
		case addr%pageSize != 0:
			return 0, refuse(call, "EINVAL", "%#x is not the start of a page", addr)
		case addr < s.c.MmapMinAddr:
			return 0, refuse(call, "EPERM", "%#x is below mmap_min_addr", addr)
		}
		return addr, nil
	}
	if addr = align(addr); addr != 0 && addr >= s.c.MmapMinAddr && addr <= s.c.TaskSize-size {
		p := s.ix.find(addr)
		if (!s.ix.valid(p) || addr+size <= s.vmas[s.ix.at(p)].startGap()) && s.ix.below(p) <= addr {
			return addr, nil
		}
	}
	if at, ok := s.ix.highest(s.vmas, size, s.c.MmapMinAddr, s.c.MmapBase); ok {
		return at, nil
	}
	if at, ok := s.ix.lowest(s.vmas, size, align(s.c.TaskSize/3), s.c.TaskSize); ok {
		return at, nil
	}
	return 0, refuse(call, "ENOMEM", "no gap of %#x bytes", size)
}

// mapRegion makes a mapping, over what was there (mmap_region).
func (s *Space) mapRegion(call string, v VMA) error {
	// What is mapped there already will not count any more.
	over := uint64(0)
	for p := s.ix.find(v.Start); s.ix.valid(p); p = s.ix.next(p) {
		u := &s.vmas[s.ix.at(p)]
		if u.Start >= v.End {
			break
		}
		over += (min(u.End, v.End) - max(u.Start, v.Start)) >> pageShift
	}
	if !s.mayExpand(v.Flags, v.Pages()) && !s.mayExpand(v.Flags, v.Pages()-over) {
		return refuse(call, "ENOMEM", "RLIMIT_AS or RLIMIT_DATA")
	}
	if err := s.cut(call, v.Start, v.End); err != nil {
		return err
	}
	if v.Flags&(NoReserve|Shared|Write|HugeTLB) == Write || v.File != nil && v.File.zero && v.Flags&NoReserve == 0 {
		if !s.charge(v.Pages()) {
			return refuse(call, "ENOMEM", "overcommit refuses %d pages", v.Pages())
		}
		if v.Flags&Shared == 0 {
			v.Flags |= Account
		}
	}
	s.account(v.Flags, int64(v.Pages()))
	s.place(v)
	return nil
}

// Munmap removes what is mapped in a range; that nothing is there is no error.
func (s *Space) Munmap(addr, length uint64) error {
	const call = "munmap"
	size := align(length)
	if addr%pageSize != 0 || addr > s.c.TaskSize || size == 0 || size > s.c.TaskSize-addr {
		return refuse(call, "EINVAL", "%#x bytes at %#x", length, addr)
	}
	return s.cut(call, addr, addr+size)
}

// Mprotect changes what may be done with a range. A hole in it is ENOMEM, a
// permission that the file does not give EACCES; what came before has changed
// then, as in the kernel.
func (s *Space) Mprotect(addr, length uint64, prot Prot) error {
	const call = "mprotect"
	if addr%pageSize != 0 {
		return refuse(call, "EINVAL", "%#x is not the start of a page", addr)
	}
	if length == 0 {
		return nil
	}
	end := addr + align(length)
	if end <= addr {
		return refuse(call, "ENOMEM", "%#x bytes at %#x", length, addr)
	}
	for at := addr; at < end; {
		p := s.ix.find(at)
		if !s.ix.valid(p) || s.vmas[s.ix.at(p)].Start > at {
			return refuse(call, "ENOMEM", "nothing is mapped at %#x", at)
		}
		v := s.vmas[s.ix.at(p)]
		to := min(v.End, end)
		f := v.Flags&^access | protFlags(prot)
		if f&access&^(f>>4) != 0 {
			return refuse(call, "EACCES", "the mapping at %#x does not give that", at)
		}
		if err := s.protect(call, p, v, at, to, f); err != nil {
			return err
		}
		at = to
	}
	return nil
}

func (s *Space) protect(call string, p pos, v VMA, start, end uint64, f Flags) error {
	if f == v.Flags {
		return nil
	}
	pages, charged := (end-start)>>pageShift, false
	if f&Write != 0 {
		if !s.mayExpand(f, pages) && s.mayExpand(v.Flags, pages) {
			return refuse(call, "ENOMEM", "RLIMIT_DATA")
		}
		if v.Flags&(Account|Write|Shared|NoReserve|HugeTLB) == 0 {
			if !s.charge(pages) {
				return refuse(call, "ENOMEM", "overcommit refuses %d pages", pages)
			}
			f, charged = f|Account, true
		}
	}
	back := s.c.Unaccount && f&Write == 0 && v.Flags&Account != 0 && v.Anonymous() && v.AnonVMA == 0
	if back {
		f &^= Account
	}
	err := s.change(call, p, start, end, f)
	if err != nil && charged || err == nil && back {
		s.uncharge(pages)
	}
	if err == nil && v.Flags&(Write|Shared|Locked) == Locked && f&Write != 0 {
		s.populate(start, end)
	}
	return err
}

// setFlags changes flags of a range that has holes or not: it goes on behind
// them and tells of them at the end.
func (s *Space) setFlags(call string, start, end uint64, f func(v *VMA) (Flags, error)) error {
	hole := false
	for at := start; at < end; {
		p := s.ix.find(at)
		if !s.ix.valid(p) {
			hole = true
			break
		}
		v := s.vmas[s.ix.at(p)]
		if v.Start > at {
			hole = true
			if at = v.Start; at >= end {
				break
			}
		}
		flags, err := f(&v)
		if err != nil {
			return err
		}
		to := min(v.End, end)
		if flags != v.Flags {
			if err := s.change(call, p, at, to, flags); err != nil {
				return err
			}
		}
		at = to
	}
	if hole {
		return refuse(call, "ENOMEM", "a part of the range is not mapped")
	}
	return nil
}

// Advice is madvise's.
type Advice int

// Advices that change VMAs, with their numbers; those that change pages alone
// (DontNeed) are checked and change nothing here.
const (
	AdviseNormal      Advice = 0
	AdviseRandom      Advice = 1
	AdviseSequential  Advice = 2
	AdviseWillNeed    Advice = 3
	AdviseDontNeed    Advice = 4
	AdviseFree        Advice = 8
	AdviseDontFork    Advice = 10
	AdviseDoFork      Advice = 11
	AdviseMergeable   Advice = 12
	AdviseUnmergeable Advice = 13
	AdviseHugePage    Advice = 14
	AdviseNoHugePage  Advice = 15
	AdviseDontDump    Advice = 16
	AdviseDoDump      Advice = 17
	AdviseWipeOnFork  Advice = 18
	AdviseKeepOnFork  Advice = 19
)

// Madvise gives advice about a range. Holes are ENOMEM, after what is mapped has
// changed.
func (s *Space) Madvise(addr, length uint64, a Advice) error {
	const call = "madvise"
	size := align(length)
	if addr%pageSize != 0 || length > 0 && size == 0 || addr+size < addr {
		return refuse(call, "EINVAL", "%#x bytes at %#x", length, addr)
	}
	if a < 0 || a > AdviseKeepOnFork || a > AdviseDontNeed && a < AdviseFree || a == 9 {
		return refuse(call, "EINVAL", "advice %d", a)
	}
	return s.setFlags(call, addr, addr+size, func(v *VMA) (Flags, error) {
		f := v.Flags
		switch a {
		case AdviseNormal:
			f &^= RandRead | SeqRead
		case AdviseRandom:
			f = f&^SeqRead | RandRead
		case AdviseSequential:
			f = f&^RandRead | SeqRead
		case AdviseDontNeed, AdviseFree:
			if a == AdviseDontNeed && f&Locked != 0 || a == AdviseFree && !v.Anonymous() {
				return 0, refuse(call, "EINVAL", "the mapping at %#x is locked or of a file", v.Start)
			}
		case AdviseDontFork:
			f |= DontCopy
		case AdviseDoFork:
			f &^= DontCopy
		case AdviseMergeable:
			if f&(Shared|MayShare) == 0 {
				f |= Mergeable
			}
		case AdviseUnmergeable:
			f &^= Mergeable
		case AdviseHugePage:
			f = f&^NoHugePage | HugePage
		case AdviseNoHugePage:
			f = f&^HugePage | NoHugePage
		case AdviseDontDump:
			f |= DontDump
		case AdviseDoDump:
			f &^= DontDump
		case AdviseWipeOnFork:
			if !v.Anonymous() || f&Shared != 0 {
				return 0, refuse(call, "EINVAL", "the mapping at %#x is of a file or shared", v.Start)
			}
			f |= WipeOnFork
		case AdviseKeepOnFork:
			f &^= WipeOnFork
		}
		return f, nil
	})
}

// Mlock locks a range in memory: ENOMEM if it has holes or is more than
// RLIMIT_MEMLOCK.
func (s *Space) Mlock(addr, length uint64) error {
	const call = "mlock"
	start := addr &^ (pageSize - 1)
	size := align(length + addr - start)
	want := uint64(0)
	for p := s.ix.find(start); s.ix.valid(p); p = s.ix.next(p) {
		v := &s.vmas[s.ix.at(p)]
		if v.Start >= start+size {
			break
		}
		if v.Flags&Locked != 0 {
			want += (min(v.End, start+size) - max(v.Start, start)) >> pageShift
		}
	}
	if l := s.c.Limits.Memlock; l != 0 && s.locked+size>>pageShift-want > l>>pageShift {
		return refuse(call, "ENOMEM", "RLIMIT_MEMLOCK is %d bytes", l)
	}
	if err := s.lockRange(call, start, size, Locked); err != nil {
		return err
	}
	s.populate(start, start+size)
	return nil
}

// populate reads the pages of a range in; private writable ones are written to
// (mm_populate).
func (s *Space) populate(start, end uint64) {
	for at := start; at < end; {
		p := s.ix.find(at)
		if !s.ix.valid(p) || s.vmas[s.ix.at(p)].Start >= end {
			return
		}
		v := &s.vmas[s.ix.at(p)]
		if v.Flags&(Write|Shared) == Write {
			_ = s.Write(max(at, v.Start)) // it is there, and writable
		}
		at = v.End
	}
}

// Munlock undoes Mlock.
func (s *Space) Munlock(addr, length uint64) error {
	start := addr &^ (pageSize - 1)
	return s.lockRange("munlock", start, align(length+addr-start), 0)
}

func (s *Space) lockRange(call string, start, size uint64, lock Flags) error {
	end := start + size
	if end < start {
		return refuse(call, "EINVAL", "the range goes round the end")
	}
	for at := start; at < end; {
		p := s.ix.find(at)
		if !s.ix.valid(p) || s.vmas[s.ix.at(p)].Start > at {
			return refuse(call, "ENOMEM", "nothing is mapped at %#x", at)
		}
		v := s.vmas[s.ix.at(p)]
		to := min(v.End, end)
		if f := v.Flags&^Locked | lock; f != v.Flags {
			if err := s.change(call, p, at, to, f); err != nil {
				return err
			}
		}
		at = to
	}
	return nil
}

// LockAll are mlockall's flags.
type LockAll int

// Flags of mlockall(2); MCL_ONFAULT is left out.
const (
	LockCurrent LockAll = 1 // what is mapped now
	LockFuture  LockAll = 2 // what will be mapped
)

// Mlockall locks what is mapped, what will be mapped, or both (mlockall). EINVAL
// for other flags; ENOMEM if all that is mapped now is more than RLIMIT_MEMLOCK.
func (s *Space) Mlockall(flags LockAll) error {
	const call = "mlockall"
	if flags == 0 || flags&^(LockCurrent|LockFuture) != 0 {
		return refuse(call, "EINVAL", "flags %#x", int(flags))
	}
	if l := s.c.Limits.Memlock; l != 0 && flags&LockCurrent != 0 && s.total > l>>pageShift {
		return refuse(call, "ENOMEM", "RLIMIT_MEMLOCK is %d bytes", l)
	}
	s.future = 0
	if flags&LockFuture != 0 {
		s.future = Locked
	}
	if flags&LockCurrent != 0 {
		s.lockEach(call, Locked)
		s.populate(0, s.c.TaskSize)
	}
	return nil
}

// Munlockall undoes Mlockall and every Mlock (munlockall).
func (s *Space) Munlockall() {
	s.future = 0
	s.lockEach("munlockall", 0)
}

// lockEach locks or unlocks all VMAs (apply_mlockall_flags).
func (s *Space) lockEach(call string, lock Flags) {
	for p := s.ix.find(0); s.ix.valid(p); {
		v := s.vmas[s.ix.at(p)]
		if f := v.Flags&^Locked | lock; f != v.Flags {
			// Whole VMAs: no further one is needed, so that nothing is refused.
			_ = s.change(call, p, v.Start, v.End, f)
		}
		p = s.ix.find(v.End)
	}
}

// Mremap changes a mapping's length, or moves it (mremap). It gives the address.
func (s *Space) Mremap(addr, oldLen, newLen uint64, flags RemapFlags, to uint64) (uint64, error) {
	const call = "mremap"
	if flags&^(RemapMayMove|RemapFixed|RemapDontUnmap) != 0 || flags&RemapFixed != 0 && flags&RemapMayMove == 0 ||
		flags&RemapDontUnmap != 0 && (flags&RemapMayMove == 0 || oldLen != newLen) || addr%pageSize != 0 {
		return 0, refuse(call, "EINVAL", "flags %#x for %#x bytes at %#x", uint32(flags), oldLen, addr)
	}
	oldLen, newLen = align(oldLen), align(newLen)
	if newLen == 0 {
		return 0, refuse(call, "EINVAL", "a new length of 0")
	}
	v, ok := s.At(addr)
	if !ok {
		return 0, refuse(call, "EFAULT", "nothing is mapped at %#x", addr)
	}
	if page := v.huge(); page > 0 {
		oldLen, newLen = (oldLen+page-1)&^(page-1), (newLen+page-1)&^(page-1)
		if addr%page != 0 || to%page != 0 && flags&RemapFixed != 0 || newLen > oldLen || flags&RemapDontUnmap != 0 {
			return 0, refuse(call, "EINVAL", "huge pages: %#x bytes at %#x to %#x bytes", oldLen, addr, newLen)
		}
	}
	if flags&(RemapFixed|RemapDontUnmap) != 0 {
		return s.remapTo(call, addr, oldLen, newLen, flags, to)
	}
	if oldLen >= newLen {
		if oldLen > newLen {
			if oldLen > s.c.TaskSize || addr+newLen > s.c.TaskSize-(oldLen-newLen) {
				return 0, refuse(call, "EINVAL", "%#x bytes at %#x", oldLen, addr)
			}
			if err := s.cut(call, addr+newLen, addr+oldLen); err != nil {
				return 0, err
			}
		}
		return addr, nil
	}
	if err := s.mayResize(call, &v, addr, oldLen, newLen); err != nil {
		return 0, err
	}
	more := (newLen - oldLen) >> pageShift
	if oldLen == v.End-addr && s.expandable(&v, newLen-oldLen) {
		if v.Flags&Account != 0 && !s.charge(more) {
			return 0, refuse(call, "ENOMEM", "overcommit refuses %d pages", more)
		}
		x := v
		x.Start, x.End, x.PageOffset = v.End, v.End+newLen-oldLen, v.offset(v.End)
		s.account(v.Flags, int64(more))
		s.place(x)
		return addr, nil
	}
	if flags&RemapMayMove == 0 {
		return 0, refuse(call, "ENOMEM", "no room behind %#x, and MREMAP_MAYMOVE is not given", v.End)
	}
	to, err := s.unmapped(call, 0, newLen, 0)
	if err != nil {
		return 0, err
	}
	return to, s.move(call, addr, oldLen, newLen, to, flags)
}

func (s *Space) expandable(v *VMA, more uint64) bool {
	end := v.End + more
	if end < v.End || end > s.c.TaskSize {
		return false
	}
	u, ok := s.Find(v.End)
	return !ok || u.Start >= end
}

// mayResize is vma_to_resize.
func (s *Space) mayResize(call string, v *VMA, addr, oldLen, newLen uint64) error {
	more := int64(newLen-oldLen) >> pageShift
	switch {
	case oldLen == 0 && v.Flags&(Shared|MayShare) == 0:
		return refuse(call, "EINVAL", "a private mapping can't be duplicated")
	case oldLen > v.End-addr:
		return refuse(call, "EFAULT", "%#x bytes at %#x are not one mapping", oldLen, addr)
	case more > 0 && !s.mayLock(v.Flags, uint64(more)):
		return refuse(call, "EAGAIN", "RLIMIT_MEMLOCK is %d bytes", s.c.Limits.Memlock)
	case more > 0 && !s.mayExpand(v.Flags, uint64(more)):
		return refuse(call, "ENOMEM", "RLIMIT_AS or RLIMIT_DATA")
	}
	return nil
}

// remapTo moves a mapping to a place, or leaves its place empty (mremap_to).
func (s *Space) remapTo(call string, addr, oldLen, newLen uint64, flags RemapFlags, to uint64) (uint64, error) {
	if to%pageSize != 0 || newLen > s.c.TaskSize || to > s.c.TaskSize-newLen {
		return 0, refuse(call, "EINVAL", "the new address %#x", to)
	}
	if addr+oldLen > to && to+newLen > addr {
		return 0, refuse(call, "EINVAL", "old and new place overlap")
	}
	if s.Count()+2 >= s.c.MaxMapCount-3 {
		return 0, refuse(call, "ENOMEM", "%d VMAs are near max_map_count", s.Count())
	}
	if flags&RemapFixed != 0 {
		if err := s.cut(call, to, to+newLen); err != nil {
			return 0, err
		}
	}
	if oldLen > newLen {
		if err := s.cut(call, addr+newLen, addr+oldLen); err != nil {
			return 0, err
		}
		oldLen = newLen
	}
	v, ok := s.At(addr)
	if !ok {
		return 0, refuse(call, "EFAULT", "nothing is mapped at %#x", addr)
	}
	if err := s.mayResize(call, &v, addr, oldLen, newLen); err != nil {
		return 0, err
	}
	if flags&RemapDontUnmap != 0 && !s.mayExpand(v.Flags, oldLen>>pageShift) {
		return 0, refuse(call, "ENOMEM", "RLIMIT_AS or RLIMIT_DATA")
	}
	var mf MapFlags
	if flags&RemapFixed != 0 {
		mf = MapFixed
	}
	to, err := s.unmapped(call, to, newLen, mf)
	if err != nil {
		return 0, err
	}
	return to, s.move(call, addr, oldLen, newLen, to, flags)
}

// move copies a mapping and removes the old one (move_vma).
func (s *Space) move(call string, addr, oldLen, newLen, to uint64, flags RemapFlags) error {
	if s.Count() >= s.c.MaxMapCount-3 {
		return refuse(call, "ENOMEM", "%d VMAs are near max_map_count", s.Count())
	}
	v, _ := s.At(addr)
	pages := newLen >> pageShift
	promised := int64(pages) - int64(oldLen>>pageShift)
	if flags&RemapDontUnmap != 0 {
		promised = int64(pages)
	}
	if v.Flags&Account != 0 && promised > 0 && !s.charge(uint64(promised)) {
		return refuse(call, "ENOMEM", "overcommit refuses %d pages", promised)
	}
	x := v
	x.Start, x.End, x.PageOffset = to, to+newLen, v.offset(addr)
	if v.Anonymous() && v.AnonVMA == 0 {
		// Nobody has written to it: it can as well have been made there.
		x.PageOffset = to >> pageShift
	}
	s.account(v.Flags, int64(pages))
	s.place(x)
	if flags&RemapDontUnmap != 0 {
		s.leave(addr, oldLen)
		return nil
	}
	// The promise went along with the pages.
	keep := s.c.Uncharge
	s.c.Uncharge = nil
	if page := v.huge(); page > 0 {
		s.hold(&v, oldLen/page)
		if v.Promised {
			s.c.Huge.Promised += oldLen / page
		}
	}
	err := s.cut(call, addr, addr+oldLen)
	s.c.Uncharge = keep
	return err
}

// leave is what a mapping becomes whose pages MREMAP_DONTUNMAP took away: it is
// not locked any more, which locked_vm does not notice, and if all of it was
// moved, nobody has written to it.
func (s *Space) leave(addr, length uint64) {
	p := s.ix.find(addr)
	v := &s.vmas[s.ix.at(p)]
	if v.Flags&Locked != 0 {
		v.Flags &^= Locked
		s.locked -= length >> pageShift // those that the new mapping added
		s.adrift += v.Pages() - length>>pageShift
	}
	if v.Start == addr && v.End == addr+length {
		v.AnonVMA, v.Inherited = 0, false
	}
}

// Brk moves the end of the heap and gives the new end; where it can't, the old
// one, as the system call does.
func (s *Space) Brk(end uint64) uint64 {
	if s.startBrk == 0 || end < s.startBrk {
		return s.brk
	}
	old, to := align(s.brk), align(end)
	switch {
	case to < end || to > s.c.TaskSize:
		return s.brk
	case old == to:
		s.brk = end
		return end
	case to < old:
		if s.cut("brk", to, old) != nil {
			return s.brk
		}
		s.brk = end
		return end
	}
	if l := s.c.Limits.Data; l != 0 && end-s.startBrk > l {
		return s.brk
	}
	if v, ok := s.Find(old); ok && v.startGap() < to+pageSize {
		return s.brk
	}
	v := VMA{Start: old, End: to, Flags: Read | Write | MayRead | MayWrite | MayExec | Account | s.future, PageOffset: old >> pageShift}
	if !s.mayLock(v.Flags, v.Pages()) || !s.mayExpand(v.Flags, v.Pages()) || s.Count() > s.c.MaxMapCount || !s.charge(v.Pages()) {
		return s.brk
	}
	s.account(v.Flags, int64(v.Pages()))
	s.place(v)
	s.brk = end
	if s.future != 0 {
		s.populate(old, to)
	}
	return end
}

// Write notes that a page was written to: a private VMA gets an anon_vma, a
// neighbour's if that can be (__anon_vma_prepare). The error is an Error with
// SIGSEGV as errno if the page is not there or not writable.
func (s *Space) Write(addr uint64) error {
	p := s.ix.find(addr)
	if !s.ix.valid(p) || s.vmas[s.ix.at(p)].Start > addr || s.vmas[s.ix.at(p)].Flags&Write == 0 {
		return refuse("write", "SIGSEGV", "%#x is not mapped writable", addr)
	}
	v := &s.vmas[s.ix.at(p)]
	if v.Flags&Shared != 0 || v.AnonVMA != 0 {
		return nil
	}
	if q := s.ix.next(p); s.ix.valid(q) {
		if u := &s.vmas[s.ix.at(q)]; lendable(v, u) && u.AnonVMA != 0 && !u.Inherited {
			v.AnonVMA = u.AnonVMA
			return nil
		}
	}
	if q, ok := s.ix.prev(p); ok {
		if u := &s.vmas[s.ix.at(q)]; lendable(u, v) && u.AnonVMA != 0 && !u.Inherited {
			v.AnonVMA = u.AnonVMA
			return nil
		}
	}
	s.anons++
	v.AnonVMA = s.anons
	return nil
}

// lendable: a and b could become one by mprotect (anon_vma_compatible).
func lendable(a, b *VMA) bool {
	return a.End == b.Start && a.File == b.File && (a.Flags^b.Flags)&^softFlags == 0 && a.PageOffset+a.Pages() == b.PageOffset
}

// Fork makes a child's address space (dup_mmap): without what is not to be
// copied and without locks. What was written to keeps its anon_vma as inherited.
func (s *Space) Fork() (*Space, error) {
	child := &Space{c: s.c, anons: s.anons, startBrk: s.startBrk, brk: s.brk}
	var err error
	promised := uint64(0) // given back if a later VMA is refused
	s.Each(func(v VMA) bool {
		if v.Flags&DontCopy != 0 {
			return true
		}
		if v.Flags&Account != 0 && !s.charge(v.Pages()) {
			err = refuse("fork", "ENOMEM", "overcommit refuses %d pages", v.Pages())
			return false
		}
		if v.Flags&Account != 0 {
			promised += v.Pages()
		}
		v.Flags &^= Locked
		v.Promised = false
		if page := v.huge(); page > 0 {
			s.hold(&v, (v.End-v.Start)/page)
		}
		switch {
		case v.Flags&WipeOnFork != 0:
			v.AnonVMA, v.Inherited = 0, false
		case v.AnonVMA != 0:
			child.anons++
			v.AnonVMA, v.Inherited = child.anons, true
		}
		child.account(v.Flags, int64(v.Pages()))
		child.insert(v)
		return true
	})
	if err != nil {
		s.uncharge(promised)
		return nil, err
	}
	return child, nil
}

// Check proves the invariants: VMAs in order, not empty, on page boundaries,
// no two that should be one, counts and gaps right.
func (s *Space) Check() error {
	bad := func(what string) error { return refuse("check", "BUG", "%s", what) }
	var last VMA
	var total, data, locked uint64
	n := 0
	for c := range s.ix.chunks {
		ids := s.ix.chunks[c].ids
		if len(ids) == 0 || len(ids) > chunkSize {
			return bad("an empty or overfull chunk")
		}
		gap, below := uint64(0), last.End
		for _, id := range ids {
			v := s.vmas[id]
			if v.Start >= v.End || v.Start%pageSize != 0 || v.End%pageSize != 0 || v.Start < last.End || v.End > s.c.TaskSize {
				return bad("a VMA overlaps or is not on pages")
			}
			if top := v.startGap(); top > below {
				gap = max(gap, top-below)
			}
			below = v.End
			total += v.Pages()
			if isData(v.Flags) {
				data += v.Pages()
			}
			if v.Flags&Locked != 0 {
				locked += v.Pages()
			}
			last = v
			n++
		}
		if gap != s.ix.chunks[c].gap || below != s.ix.tops[c] {
			return bad("a chunk's gap or end is wrong")
		}
	}
	if n != s.ix.n || total != s.total || data != s.data || locked+s.adrift != s.locked {
		return bad("VMAs or pages are counted wrongly")
	}
	return nil
}

// GrowDown lets a stack that starts at an address grow down to another
// (expand_downwards). The error is an Error with ENOMEM if the guard below it or
// a limit forbids.
func (s *Space) GrowDown(start, to uint64) error {
	const call = "fault"
	p := s.ix.find(start)
	if !s.ix.valid(p) || s.vmas[s.ix.at(p)].Start != start || s.vmas[s.ix.at(p)].Flags&GrowsDown == 0 {
		return refuse(call, "ENOMEM", "no stack begins at %#x", start)
	}
	to &^= pageSize - 1
	if to >= start {
		return nil
	}
	v := &s.vmas[s.ix.at(p)]
	pages := (start - to) >> pageShift
	if q, ok := s.ix.prev(p); ok {
		if u := &s.vmas[s.ix.at(q)]; u.Flags&GrowsDown == 0 && u.Flags&access != 0 && to < u.End+stackGap || to < u.End {
			return refuse(call, "ENOMEM", "the guard below the stack reaches %#x", u.End)
		}
	}
	switch {
	case to < s.c.MmapMinAddr:
		return refuse(call, "ENOMEM", "%#x is below mmap_min_addr", to)
	case pages > v.PageOffset:
		return refuse(call, "ENOMEM", "the offset would be negative")
	case !s.mayExpand(v.Flags, pages) || !s.mayLock(v.Flags, pages):
		return refuse(call, "ENOMEM", "a limit")
	case v.Flags&Account != 0 && !s.charge(pages):
		return refuse(call, "ENOMEM", "overcommit refuses %d pages", pages)
	}
	s.account(v.Flags, int64(pages))
	v.Start, v.PageOffset = to, v.PageOffset-pages
	s.ix.changed(s.vmas, p)
	return nil
}
