package vma

// softFlags do not keep VMAs apart when an anon_vma is looked for.
const softFlags = access

// like says whether a VMA and a mapping with these properties could be one, but
// for offsets and anon_vmas (is_mergeable_vma).
func (v *VMA) like(f Flags, file *File) bool {
	return v.Flags == f && v.File == file && f&DontExpand == 0
}

// sameAnon says whether two anon_vmas allow a merge; v is the VMA that would grow
// (is_mergeable_anon_vma).
func sameAnon(a, b uint32, v *VMA) bool {
	if a == 0 || b == 0 {
		return v == nil || !v.Inherited
	}
	return a == b
}

// place puts [start, end) with its properties into the address space, where
// nothing is, as a part of its neighbours or as a VMA of its own (vma_merge and
// mmap_region). The pages are not accounted.
func (s *Space) place(v VMA) (merged bool) {
	p := s.ix.find(v.Start)
	var prev, next *VMA
	q, hasPrev := s.ix.prev(p)
	if hasPrev {
		prev = &s.vmas[s.ix.at(q)]
	}
	if s.ix.valid(p) {
		next = &s.vmas[s.ix.at(p)]
	}
	after := prev != nil && prev.End == v.Start && prev.like(v.Flags, v.File) && prev.PageOffset+prev.Pages() == v.PageOffset && sameAnon(v.AnonVMA, prev.AnonVMA, prev)
	before := next != nil && next.Start == v.End && next.like(v.Flags, v.File) && v.PageOffset+v.Pages() == next.PageOffset && sameAnon(v.AnonVMA, next.AnonVMA, next)
	switch {
	case after && before && sameAnon(prev.AnonVMA, next.AnonVMA, nil):
		end, anon, inherited := next.End, next.AnonVMA, next.Inherited
		s.remove(p)
		prev.End = end
		switch {
		case prev.AnonVMA != 0:
		case v.AnonVMA != 0:
			prev.AnonVMA, prev.Inherited = v.AnonVMA, v.Inherited
		default:
			prev.AnonVMA, prev.Inherited = anon, inherited
		}
		s.ix.changed(s.vmas, q)
	case after:
		prev.End = v.End
		if prev.AnonVMA == 0 {
			prev.AnonVMA, prev.Inherited = v.AnonVMA, v.Inherited
		}
		s.ix.changed(s.vmas, q)
	case before:
		next.Start, next.PageOffset = v.Start, v.PageOffset
		if next.AnonVMA == 0 {
			next.AnonVMA, next.Inherited = v.AnonVMA, v.Inherited
		}
		s.ix.changed(s.vmas, p)
	default:
		s.insert(v)
		return false
	}
	return true
}

// change gives the part [start, end) of a VMA other flags: it is cut out and
// joined with what it fits (mprotect_fixup and others: vma_merge, else
// split_vma). The error is an Error with ENOMEM if there would be too many VMAs;
// then nothing changed.
func (s *Space) change(call string, p pos, start, end uint64, f Flags) error {
	for _, at := range [2]uint64{start, end} {
		if err := s.uncuttable(call, at); err != nil {
			return err
		}
	}
	v := s.vmas[s.ix.at(p)]
	part := v
	part.Start, part.End, part.PageOffset, part.Flags = start, end, v.offset(start), f
	// Would it fit a neighbour? Only then no further VMA is needed.
	more := 0
	if start > v.Start {
		more++
	}
	if end < v.End {
		more++
	}
	if more > 0 && s.Count()+more > s.c.MaxMapCount && !s.fitsNeighbour(p, &v, &part) {
		return refuse(call, "ENOMEM", "%d VMAs are max_map_count", s.Count())
	}
	pages := int64(part.Pages())
	s.account(v.Flags, -pages)
	s.account(f, pages)
	s.remove(p)
	if start > v.Start {
		left := v
		left.End = start
		s.insert(left)
	}
	if end < v.End {
		right := v
		right.Start, right.PageOffset = end, v.offset(end)
		s.insert(right)
	}
	s.place(part)
	return nil
}

// fitsNeighbour says whether a part of the VMA at p could join the VMA beside it.
func (s *Space) fitsNeighbour(p pos, v, part *VMA) bool {
	if part.Start == v.Start {
		if q, ok := s.ix.prev(p); ok {
			u := &s.vmas[s.ix.at(q)]
			if u.End == part.Start && u.like(part.Flags, part.File) && u.PageOffset+u.Pages() == part.PageOffset && sameAnon(part.AnonVMA, u.AnonVMA, u) {
				return true
			}
		}
	}
	if part.End == v.End {
		if q := s.ix.next(p); s.ix.valid(q) {
			u := &s.vmas[s.ix.at(q)]
			if u.Start == part.End && u.like(part.Flags, part.File) && part.PageOffset+part.Pages() == u.PageOffset && sameAnon(part.AnonVMA, u.AnonVMA, u) {
				return true
			}
		}
	}
	return false
}

// cut removes what is mapped in [start, end) (do_munmap). The error is an Error
// with ENOMEM if a VMA would have to be cut in two and there are too many; then
// nothing changed.
func (s *Space) cut(call string, start, end uint64) error {
	p := s.ix.find(start)
	if !s.ix.valid(p) || s.vmas[s.ix.at(p)].Start >= end {
		return nil
	}
	for _, at := range [2]uint64{start, end} {
		if err := s.uncuttable(call, at); err != nil {
			return err
		}
	}
	if v := &s.vmas[s.ix.at(p)]; v.Start < start && v.End > end && s.Count() >= s.c.MaxMapCount {
		return refuse(call, "ENOMEM", "%d VMAs are max_map_count", s.Count())
	}
	for s.ix.valid(p) {
		v := s.vmas[s.ix.at(p)]
		if v.Start >= end {
			break
		}
		from, to := max(v.Start, start), min(v.End, end)
		pages := (to - from) >> pageShift
		s.account(v.Flags, -int64(pages))
		if v.Flags&Account != 0 {
			s.uncharge(pages)
		}
		if page := v.huge(); page > 0 {
			s.release(&v, (to-from)/page)
		}
		switch {
		case from == v.Start && to == v.End:
			s.remove(p)
		case from == v.Start:
			x := &s.vmas[s.ix.at(p)]
			x.Start, x.PageOffset = to, v.offset(to)
			s.ix.changed(s.vmas, p)
		default:
			x := &s.vmas[s.ix.at(p)]
			x.End = from
			s.ix.changed(s.vmas, p)
			if to < v.End {
				right := v
				right.Start, right.PageOffset = to, v.offset(to)
				s.insert(right)
			}
		}
		p = s.ix.find(to)
	}
	return nil
}
