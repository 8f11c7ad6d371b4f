package lockdep

// Acquire says how a lock is taken. The zero value is a plain exclusive
// acquisition.
type Acquire struct {
	// Subclass is the nesting level, 0 to 7 (mutex_lock_nested).
	Subclass uint8
	// Read is 0 for writers, 1 for readers, 2 for recursive readers.
	Read uint8
	// Try is a trylock that succeeded.
	Try bool
	// NoCheck leaves the acquisition out of the graph; only its wait type counts.
	NoCheck bool
	// Sync only waits for the lock and does not hold it (lock_sync).
	Sync bool
	// Nest is a held lock that orders this class's locks (mutex_lock_nest_lock); 0
	// is none.
	Nest LockID
	// Site is where the lock is taken, "func+0x1c/0x1e".
	Site string
}

// Acquire records that a task takes a lock and proves that this can not deadlock
// (lock_acquire). It returns the report if it can; the lock then counts as not
// held. Once there was a report, nothing is checked any more.
func (v *Validator) Acquire(t *Task, l LockID, a Acquire) *Report {
	if v.report != nil {
		return nil
	}
	t.site = a.Site
	if !v.validLock(l) {
		return v.reportUnregistered(t)
	}
	if a.Subclass >= MaxSubclasses {
		return v.limit(t, "MAX_LOCKDEP_SUBCLASSES")
	}
	return v.acquire(t, held{
		lock: l, nest: a.Nest, read: min(a.Read, 2), try: a.Try, sync: a.Sync,
		check:   !a.NoCheck && !v.keys[v.locks[l].key].NoValidate,
		irqsOff: !t.hardirqsOn, site: a.Site,
	}, a.Subclass)
}

// acquire is __lock_acquire.
func (v *Validator) acquire(t *Task, h held, subclass uint8) *Report {
	class, r := v.classOf(t, h.lock, subclass)
	if r != nil {
		return r
	}
	h.class = class
	v.classes[class].ops++
	if v.merge(t, &h) {
		return nil
	}
	h.irqContext = t.irqContext()
	if v.cfg.Clock != nil {
		h.heldSet = v.cfg.Clock()
	}
	if r := v.checkWaitContext(t, &h); r != nil {
		return r
	}
	if r := v.markUsage(t, &h); r != nil {
		return r
	}
	h.prevKey = t.chainKey
	key, head := t.chainKey, len(t.held) == 0
	if !head && t.held[len(t.held)-1].irqContext != h.irqContext {
		key, head = chainStart, true
	}
	key = chainKey(key, h.link())
	if h.nest != 0 && !v.isHeld(t, h.nest) {
		return v.reportNestNotHeld(t, &h)
	}
	if r := v.validate(t, &h, head, key); r != nil || h.sync {
		return r
	}
	t.chainKey = key
	t.held = append(t.held, h)
	v.stats.MaxDepth = max(v.stats.MaxDepth, len(t.held))
	if len(t.held) >= v.cfg.MaxDepth {
		return v.limit(t, "MAX_LOCK_DEPTH")
	}
	return nil
}

// merge counts a lock into the one of its class that is held innermost, if a nest
// lock orders them.
func (v *Validator) merge(t *Task, h *held) bool {
	if len(t.held) == 0 || h.sync || h.nest == 0 {
		return false
	}
	last := &t.held[len(t.held)-1]
	if last.class != h.class {
		return false
	}
	last.refs = max(last.refs, 1) + max(h.refs, 1)
	return true
}

// validate proves a chain that is new (validate_chain).
func (v *Validator) validate(t *Task, h *held, head bool, key uint64) *Report {
	if h.try || !h.check {
		return nil
	}
	known, r := v.knownChain(t, h, key)
	if known || r != nil {
		return r
	}
	nested, r := v.checkDeadlock(t, h)
	if r != nil || nested || head {
		return r
	}
	return v.addDependencies(t, h)
}

// checkDeadlock proves that the task holds no other lock of the class; it is true
// if it does, but a nest lock orders them (check_deadlock).
func (v *Validator) checkDeadlock(t *Task, next *held) (bool, *Report) {
	nest := false
	for i := range t.held {
		prev := &t.held[i]
		if next.nest != 0 && prev.lock == next.nest {
			nest = true
		}
		switch {
		case prev.class != next.class, next.read == 2 && prev.read != 0, v.ordered(prev, next):
			continue
		case nest:
			return true, nil
		}
		return false, v.reportRecursion(t, next, prev)
	}
	return false, nil
}

// ordered says whether the class has an order that allows next inside prev.
func (v *Validator) ordered(prev, next *held) bool {
	cmp := v.keys[v.classes[prev.class].key].Compare
	return cmp != nil && cmp(prev.lock, next.lock) < 0
}

// checkWaitContext proves that a lock waits no longer than the context and the
// held locks allow (check_wait_context).
func (v *Validator) checkWaitContext(t *Task, next *held) *Report {
	c := &v.classes[next.class]
	outer := c.outer
	if outer == WaitInvalid {
		outer = c.inner
	}
	if c.inner == WaitInvalid || next.try {
		return nil
	}
	allowed := v.numeric(t.waitContext())
	for i := t.contextStart(next.irqContext); i < len(t.held); i++ {
		prev := &v.classes[t.held[i].class]
		switch {
		case prev.inner == WaitInvalid:
		case prev.lockType == LockWaitOverride:
			allowed = v.numeric(prev.inner)
		default:
			allowed = min(allowed, v.numeric(prev.inner))
		}
	}
	if v.numeric(outer) > allowed {
		return v.reportWaitContext(t, next)
	}
	return nil
}

// Release records that a task gives a lock back (lock_release).
func (v *Validator) Release(t *Task, l LockID, site string) *Report {
	if v.report != nil {
		return nil
	}
	t.site = site
	i := v.findHeld(t, l)
	if i < 0 {
		return v.reportUnbalanced(t, l, site)
	}
	h := &t.held[i]
	v.countHeld(h)
	if h.refs > 0 {
		h.refs--
		if h.refs > 0 {
			return nil
		}
	}
	t.chainKey = h.prevKey
	if i == len(t.held)-1 {
		t.held = t.held[:i]
		return nil
	}
	return v.reacquire(t, i, i+1)
}

// reacquire takes the locks above index from again, below them only those before
// index to (reacquire_held_locks).
func (v *Validator) reacquire(t *Task, to, from int) *Report {
	above := append([]held(nil), t.held[from:]...)
	t.held = t.held[:to]
	for _, h := range above {
		if r := v.acquire(t, h, v.classes[h.class].subclass); r != nil {
			return r
		}
	}
	return nil
}

// findHeld finds a held lock of the innermost context, -1 if there is none
// (find_held_lock).
func (v *Validator) findHeld(t *Task, l LockID) int {
	for i := len(t.held) - 1; i >= 0; i-- {
		if i < len(t.held)-1 && t.held[i].irqContext != t.held[i+1].irqContext {
			return -1
		}
		if v.same(&t.held[i], l) {
			return i
		}
	}
	return -1
}

// same says whether a held entry is a lock, or counts it (match_held_lock).
func (v *Validator) same(h *held, l LockID) bool {
	if h.lock == l {
		return true
	}
	return h.refs > 0 && v.validLock(l) && v.keys[v.locks[l].key].classes[0] == h.class
}

func (v *Validator) isHeld(t *Task, l LockID) bool {
	for i := range t.held {
		if v.same(&t.held[i], l) {
			return true
		}
	}
	return false
}

// IsHeld says whether a task holds a lock (lockdep_is_held).
func (v *Validator) IsHeld(t *Task, l LockID) bool { return v.isHeld(t, l) }

// Downgrade turns a held write lock into a read lock (lock_downgrade).
func (v *Validator) Downgrade(t *Task, l LockID, site string) *Report {
	if v.report != nil {
		return nil
	}
	t.site = site
	i := v.findHeld(t, l)
	if i < 0 {
		return v.reportUnbalanced(t, l, site)
	}
	t.held[i].read = 1
	t.held[i].site = site
	t.chainKey = t.held[i].prevKey
	return v.reacquire(t, i, i)
}

// Init sets a lock up again, as its initializer does, or frees its memory: neither
// may be done while a task holds it (debug_check_no_locks_freed).
func (v *Validator) Init(t *Task, l LockID, size uint64, site string) *Report {
	if v.report != nil {
		return nil
	}
	t.site = site
	for i := range t.held {
		if t.held[i].lock == l {
			return v.reportFreedHeld(t, &t.held[i], size)
		}
	}
	return nil
}

// Exit ends a task, which may hold no lock then (debug_check_no_locks_held).
func (v *Validator) Exit(t *Task) *Report {
	if v.report != nil || len(t.held) == 0 {
		return nil
	}
	return v.reportHeldAtExit(t)
}

// ReturnToUser ends a system call, which may leave no lock held
// (lockdep_sys_exit).
func (v *Validator) ReturnToUser(t *Task) *Report {
	if v.report != nil || len(t.held) == 0 {
		return nil
	}
	return v.reportHeldAtReturn(t)
}
