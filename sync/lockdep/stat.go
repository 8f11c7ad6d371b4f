package lockdep

// LockTime summarizes times in ns (struct lock_time).
type LockTime struct {
	N               uint64
	Min, Max, Total int64
}

func (t *LockTime) add(ns int64) {
	if t.N == 0 || ns < t.Min {
		t.Min = ns
	}
	t.Max = max(t.Max, ns)
	t.Total += ns
	t.N++
}

// classStat are a class's times, write and read (struct lock_class_stats).
type classStat struct {
	wait, hold [2]LockTime
	points     []contention
}

// contention is a place that waited, and how often.
type contention struct {
	site string
	n    uint64
}

// statPoints is how many places a class keeps (LOCKSTAT_POINTS).
const statPoints = 4

func (h *held) readIndex() int { return bit(h.read != 0) }

// Contended records that a task waits for a lock that it has begun to take
// (lock_contended).
func (v *Validator) Contended(t *Task, l LockID, site string) {
	i := v.findHeld(t, l)
	if v.cfg.Clock == nil || v.report != nil || i < 0 {
		return
	}
	h := &t.held[i]
	h.waitSince = v.cfg.Clock()
	v.classes[h.class].stat.point(site)
}

func (s *classStat) point(site string) {
	for i := range s.points {
		if s.points[i].site == site {
			s.points[i].n++
			return
		}
	}
	if len(s.points) < statPoints {
		s.points = append(s.points, contention{site, 1})
	}
}

// Acquired records that a task has got a lock that it waited for (lock_acquired).
func (v *Validator) Acquired(t *Task, l LockID) {
	i := v.findHeld(t, l)
	if v.cfg.Clock == nil || v.report != nil || i < 0 {
		return
	}
	h := &t.held[i]
	now := v.cfg.Clock()
	if h.waitSince != 0 {
		v.classes[h.class].stat.wait[h.readIndex()].add(now - h.waitSince)
		h.waitSince = 0
	}
	h.heldSet = now
}

// countHeld adds the time for which a lock was held (lock_release_holdtime).
func (v *Validator) countHeld(h *held) {
	if v.cfg.Clock != nil {
		v.classes[h.class].stat.hold[h.readIndex()].add(v.cfg.Clock() - h.heldSet)
	}
}
