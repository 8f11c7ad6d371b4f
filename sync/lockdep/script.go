package lockdep

import (
	"errors"
	"fmt"
	"strings"
)

// ErrScript is wrapped by errors about a script's operations.
var ErrScript = errors.New("lockdep: script")

// ErrWouldBlock is wrapped if an operation of a script waits for a lock that
// nobody can give back, and nothing was reported.
var ErrWouldBlock = errors.New("would block")

// Script runs operations in the words of the kernel's own self-test:
//
//	lock|unlock|trylock|init KIND NAME   KIND: spin raw_spin rw_write rw_read mutex
//	                                     rwsem_write rwsem_read rtmutex local_lock ww
//	lock KIND NAME nest_under LOCK       an outer lock orders the nesting
//	irq_off irq_on bh_off bh_on hardirq_enter hardirq_exit softirq_enter
//	softirq_exit hardirq_is_threaded     the interrupt state
//	rcu_read_lock[_bh|_sched] rcu_read_unlock[_bh|_sched]
//	fs_reclaim_acquire GFP, fs_reclaim_release GFP, might_alloc GFP,
//	memalloc_nofs_save, memalloc_nofs_restore
//	ww_acquire_init|ww_acquire_done|ww_acquire_fini CTX
//	lock ww NAME ctx CTX, lock_slow ww NAME ctx CTX, trylock ww NAME ctx CTX
//	poke X.field = value                 a test fakes a field of a ww context or mutex
//	lockdep_forget_held mutex NAME, lockdep_remember_held_as_trylock mutex NAME
//	task NAME                            further operations are another task's
//	exit, return_to_user                 the task ends or leaves the kernel
//
// Locks are made when they are first named. Names that differ only in a final
// number are locks of one class (X1, X2); kinds never share a class. An answer
// "-> RET" at the end of a line is ignored.
type Script struct {
	V     *Validator
	task  *Task
	tasks map[string]*Task
	locks map[string]*scriptLock
	keys  map[string]KeyID
	ctxs  map[string]*wwContext
	rcu   map[string]LockID
	// reclaim is the lock class that stands for memory reclaim; nofs counts the
	// scopes in which it is not entered.
	reclaim LockID
	nofs    int
	line    int
}

// scriptLock is a lock of a script: its instance and who holds it.
type scriptLock struct {
	id      LockID
	writer  *Task
	readers int
	ww      *wwMutex
}

// lockKind is what a word for a kind of lock stands for.
type lockKind struct {
	// object is what the kind's locks are called; read and write share it.
	object string
	wait   WaitType
	typ    LockType
	read   uint8
}

// queuedRead asks for the read kind of a queued rwlock: recursive in interrupts.
const queuedRead = 3

var lockKinds = map[string]lockKind{
	"spin":        {object: "spin", wait: WaitConfig},
	"raw_spin":    {object: "raw_spin", wait: WaitSpin},
	"rw":          {object: "rw", wait: WaitConfig},
	"rw_write":    {object: "rw", wait: WaitConfig},
	"rw_read":     {object: "rw", wait: WaitConfig, read: queuedRead},
	"mutex":       {object: "mutex", wait: WaitSleep},
	"rwsem":       {object: "rwsem", wait: WaitSleep},
	"rwsem_write": {object: "rwsem", wait: WaitSleep},
	"rwsem_read":  {object: "rwsem", wait: WaitSleep, read: 1},
	"rtmutex":     {object: "rtmutex", wait: WaitSleep},
	"local_lock":  {object: "local_lock", wait: WaitConfig, typ: LockPerCPU},
	"ww":          {object: "ww", wait: WaitSleep},
}

// NewScript makes a script over a new validator.
func NewScript(cfg Config) (*Script, error) {
	v, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s := &Script{
		V: v, tasks: map[string]*Task{}, locks: map[string]*scriptLock{}, keys: map[string]KeyID{},
		ctxs: map[string]*wwContext{}, rcu: map[string]LockID{},
	}
	s.switchTask("swapper/0")
	return s, nil
}

func (s *Script) switchTask(name string) {
	t := s.tasks[name]
	if t == nil {
		t = s.V.NewTask(name, len(s.tasks))
		s.tasks[name] = t
	}
	s.task = t
}

// Run runs operations until the first report, which it returns.
func (s *Script) Run(ops []string) (*Report, error) {
	for _, op := range ops {
		if r, err := s.Step(op); r != nil || err != nil {
			return r, err
		}
	}
	return nil, nil
}

// Step runs one operation. Errors wrap [ErrScript].
func (s *Script) Step(op string) (*Report, error) {
	s.line++
	body, _, _ := strings.Cut(op, "->")
	f := strings.Fields(body)
	if len(f) == 0 {
		return nil, nil
	}
	r, err := s.step(f)
	if err != nil {
		err = fmt.Errorf("%w: operation %d: %q: %w", ErrScript, s.line, op, err)
	}
	return r, err
}

// site names the place of the current operation.
func (s *Script) site() string { return fmt.Sprintf("op%d", s.line) }

func (s *Script) step(f []string) (*Report, error) {
	if len(f) == 1 {
		return s.word(f[0])
	}
	switch f[0] {
	case "task":
		s.switchTask(f[1])
		return nil, nil
	case "poke":
		return nil, s.poke(f[1:])
	case "fs_reclaim_acquire", "fs_reclaim_release", "might_alloc":
		return s.reclaimOp(f[0], f[1]), nil
	case "ww_acquire_init", "ww_acquire_done", "ww_acquire_fini":
		return s.wwContextOp(f[0], f[1])
	}
	if len(f) < 3 {
		return nil, errors.New("found no lock, want KIND NAME")
	}
	return s.lockOp(f[0], f[1], f[2], f[3:])
}

// word runs an operation of one word.
func (s *Script) word(w string) (*Report, error) {
	v, t := s.V, s.task
	switch w {
	case "irq_off":
		v.HardirqsOff(t, s.site())
	case "irq_on":
		return v.HardirqsOn(t, s.site()), nil
	case "bh_off":
		v.BHDisable(t, s.site())
	case "bh_on":
		return v.BHEnable(t, s.site()), nil
	case "hardirq_enter":
		v.HardirqEnter(t)
	case "hardirq_is_threaded":
		v.HardirqThreaded(t)
	case "hardirq_exit":
		v.HardirqExit(t)
	case "softirq_enter":
		v.SoftirqEnter(t)
	case "softirq_exit":
		v.SoftirqExit(t)
	case "memalloc_nofs_save":
		s.nofs++
	case "memalloc_nofs_restore":
		s.nofs = max(0, s.nofs-1)
	case "exit":
		return v.Exit(t), nil
	case "return_to_user":
		return v.ReturnToUser(t), nil
	default:
		return s.rcuOp(w)
	}
	return nil, nil
}

// rcuKeys are the lock classes that stand for RCU readers: they may be entered
// anywhere, and inside one as much may be done as its flavour allows.
var rcuKeys = map[string]Key{
	"":       {Name: "rcu_read_lock", Outer: WaitFree, Inner: WaitConfig},
	"_bh":    {Name: "rcu_read_lock_bh", Outer: WaitFree, Inner: WaitConfig},
	"_sched": {Name: "rcu_read_lock_sched", Outer: WaitFree, Inner: WaitSpin},
}

func (s *Script) rcuOp(w string) (*Report, error) {
	flavour, isLock := strings.CutPrefix(w, "rcu_read_lock")
	if !isLock {
		var isUnlock bool
		if flavour, isUnlock = strings.CutPrefix(w, "rcu_read_unlock"); !isUnlock {
			return nil, errors.New("found an unknown operation")
		}
	}
	k, ok := rcuKeys[flavour]
	if !ok {
		return nil, errors.New("found an unknown kind of RCU")
	}
	id := s.rcu[flavour]
	if id == 0 {
		id = s.V.NewLock(s.V.NewKey(k), 0)
		s.rcu[flavour] = id
	}
	if isLock {
		if flavour == "_bh" {
			s.V.BHDisable(s.task, s.site())
		}
		return s.V.Acquire(s.task, id, Acquire{Read: 2, NoCheck: true, Site: s.site()}), nil
	}
	r := s.V.Release(s.task, id, s.site())
	if r == nil && flavour == "_bh" {
		r = s.V.BHEnable(s.task, s.site())
	}
	return r, nil
}

// reclaimOp takes or gives back the class that stands for memory reclaim, if the
// GFP mask allows filesystem reclaim here.
func (s *Script) reclaimOp(op, gfp string) *Report {
	if s.nofs > 0 || gfp == "GFP_NOFS" || gfp == "GFP_NOIO" || gfp == "GFP_ATOMIC" || gfp == "GFP_NOWAIT" {
		return nil
	}
	if s.reclaim == 0 {
		s.reclaim = s.V.NewLock(s.V.NewKey(Key{Name: "fs_reclaim"}), 0)
	}
	if op != "fs_reclaim_release" {
		if r := s.V.Acquire(s.task, s.reclaim, Acquire{Site: s.site()}); r != nil {
			return r
		}
	}
	if op != "fs_reclaim_acquire" {
		return s.V.Release(s.task, s.reclaim, s.site())
	}
	return nil
}

// className is a lock's name without a final number.
func className(name string) string { return strings.TrimRight(name, "0123456789") }

// lockOf finds or makes a lock.
func (s *Script) lockOf(kind lockKind, name string) *scriptLock {
	if object, ok := strings.CutPrefix(name, "ww_"); ok {
		if object, ok = strings.CutSuffix(object, ".base"); ok {
			kind, name = lockKinds["ww"], object
		}
	}
	id := kind.object + " " + name
	if l := s.locks[id]; l != nil {
		return l
	}
	class := kind.object + " " + className(name)
	k := s.keys[class]
	if k == 0 {
		label := class
		if kind.object == "ww" {
			label = "ww_lockdep_mutex"
		}
		k = s.V.NewKey(Key{Name: label, Inner: kind.wait, Type: kind.typ})
		s.keys[class] = k
	}
	l := &scriptLock{id: s.V.NewLock(k, uint64(len(s.locks)+1)*64)}
	if kind.object == "ww" {
		l.ww = &wwMutex{class: class}
	}
	s.locks[id] = l
	return l
}

// lockOp runs an operation on a lock; args are what follows its name.
func (s *Script) lockOp(op, kindName, name string, args []string) (*Report, error) {
	kind, ok := lockKinds[kindName]
	if !ok {
		return nil, fmt.Errorf("found the kind %q, want one of spin, raw_spin, rw_write, rw_read, mutex, rwsem_write, rwsem_read, rtmutex, local_lock, ww", kindName)
	}
	l := s.lockOf(kind, name)
	if kindName == "ww" {
		return s.wwOp(op, l, args)
	}
	switch op {
	case "lock", "lock_interruptible", "lock_killable", "lock_io":
		nest, err := s.nestLock(kind, args)
		if err != nil {
			return nil, err
		}
		return s.lock(l, s.readKind(kind), nest)
	case "trylock":
		return s.tryLock(l, s.readKind(kind)), nil
	case "unlock":
		return s.unlock(l, kind.read != 0), nil
	case "init":
		return s.V.Init(s.task, l.id, 64, s.site()), nil
	case "lockdep_forget_held":
		return s.V.Release(s.task, l.id, s.site()), nil
	case "lockdep_remember_held_as_trylock":
		return s.V.Acquire(s.task, l.id, Acquire{Try: true, Site: s.site()}), nil
	}
	return nil, fmt.Errorf("found the operation %q, want lock, trylock, unlock or init", op)
}

// readKind is how a kind takes its lock here: queued rwlocks are recursive only in
// interrupt context.
func (s *Script) readKind(k lockKind) uint8 {
	if k.read != queuedRead {
		return k.read
	}
	if s.V.cfg.ReadRecursive || s.task.InInterrupt() {
		return 2
	}
	return 1
}

// nestLock finds the lock that orders a nesting; 0 if there is none.
func (s *Script) nestLock(kind lockKind, args []string) (LockID, error) {
	switch {
	case len(args) == 0:
		return 0, nil
	case len(args) != 2 || args[0] != "nest_under":
		return 0, fmt.Errorf("found %q, want nest_under LOCK", strings.Join(args, " "))
	}
	if name, ok := strings.CutPrefix(args[1], "ctx_"); ok {
		return s.context(name).lock, nil
	}
	return s.lockOf(kind, args[1]).id, nil
}

func (l *scriptLock) free(read bool) bool {
	return l.writer == nil && (read || l.readers == 0)
}

func (l *scriptLock) take(t *Task, read bool) {
	if read {
		l.readers++
	} else {
		l.writer = t
	}
}

func (s *Script) lock(l *scriptLock, read uint8, nest LockID) (*Report, error) {
	r := s.V.Acquire(s.task, l.id, Acquire{Read: read, Nest: nest, Site: s.site()})
	switch {
	case r != nil:
		return r, nil
	case !l.free(read != 0):
		return nil, ErrWouldBlock
	}
	l.take(s.task, read != 0)
	return nil, nil
}

func (s *Script) tryLock(l *scriptLock, read uint8) *Report {
	if !l.free(read != 0) {
		return nil
	}
	l.take(s.task, read != 0)
	return s.V.Acquire(s.task, l.id, Acquire{Read: read, Try: true, Site: s.site()})
}

func (s *Script) unlock(l *scriptLock, read bool) *Report {
	r := s.V.Release(s.task, l.id, s.site())
	if read {
		l.readers = max(0, l.readers-1)
	} else {
		l.writer = nil
	}
	return r
}
