package lockdep

import (
	"errors"
	"fmt"
	"strings"
)

// wwContext is a ww_acquire_ctx: a transaction that takes mutexes of a class in
// any order. The one with the higher stamp is younger and gives way (wait-die).
type wwContext struct {
	lock       LockID
	class      string
	stamp      int64
	acquired   int
	done       bool
	contending *wwMutex
}

// wwMutex is what a ww_mutex has beside its mutex.
type wwMutex struct {
	class string
	ctx   *wwContext
}

// context finds or makes a context; it is not set up.
func (s *Script) context(name string) *wwContext {
	c := s.ctxs[name]
	if c == nil {
		c = &wwContext{}
		s.ctxs[name] = c
	}
	return c
}

// wwStamps is the distance between the stamps of contexts, so that tests can put
// others in between.
const wwStamps = 16

func (s *Script) wwContextOp(op, name string) (*Report, error) {
	c := s.context(name)
	switch op {
	case "ww_acquire_init":
		k := s.keys["ww_acquire"]
		if k == 0 {
			k = s.V.NewKey(Key{Name: "ww_lockdep_acquire"})
			s.keys["ww_acquire"] = k
		}
		if c.lock != 0 {
			if r := s.V.Init(s.task, c.lock, 64, s.site()); r != nil {
				return r, nil
			}
		}
		*c = wwContext{lock: s.V.NewLock(k, uint64(len(s.ctxs))<<20), class: "ww o", stamp: int64(s.line) * wwStamps}
		return s.V.Acquire(s.task, c.lock, Acquire{Site: s.site()}), nil
	case "ww_acquire_done":
		if c.done {
			return s.V.Warn(s.task, "ctx->done_acquire"), nil
		}
		c.done = true
		return nil, nil
	}
	if r := s.V.Release(s.task, c.lock, s.site()); r != nil {
		return r, nil
	}
	if c.acquired != 0 {
		return s.V.Warn(s.task, "ctx->acquired"), nil
	}
	return nil, nil
}

func (s *Script) wwOp(op string, l *scriptLock, args []string) (*Report, error) {
	var ctx *wwContext
	if len(args) == 2 && args[0] == "ctx" {
		if args[1] != "none" {
			ctx = s.context(args[1])
		}
	} else if len(args) != 0 {
		return nil, fmt.Errorf("found %q, want ctx CTX", strings.Join(args, " "))
	}
	switch op {
	case "lock", "lock_interruptible":
		return s.wwLock(l, ctx)
	case "lock_slow", "lock_slow_interruptible":
		if ctx != nil && ctx.contending == nil {
			return s.V.Warn(s.task, "!ctx->contending_lock"), nil
		}
		return s.wwLock(l, ctx)
	case "trylock":
		return s.wwTryLock(l, ctx), nil
	case "unlock":
		return s.wwUnlock(l), nil
	case "init":
		return s.V.Init(s.task, l.id, 64, s.site()), nil
	}
	return nil, fmt.Errorf("found the operation %q, want lock, lock_slow, trylock, unlock or init", op)
}

// wwLock is ww_mutex_lock; its answers -EALREADY and -EDEADLK need not be told,
// the script knows them.
func (s *Script) wwLock(l *scriptLock, ctx *wwContext) (*Report, error) {
	if ctx == nil {
		return s.lock(l, 0, 0)
	}
	if l.writer != nil && l.ww.ctx == ctx {
		return nil, nil
	}
	r := s.V.Acquire(s.task, l.id, Acquire{Nest: ctx.lock, Site: s.site()})
	if r != nil {
		return r, nil
	}
	if l.writer == nil {
		l.writer = s.task
		return s.wwAcquired(l.ww, ctx), nil
	}
	if ctx.acquired == 0 || l.ww.ctx == nil || l.ww.ctx.stamp >= ctx.stamp {
		return nil, ErrWouldBlock
	}
	if ctx.contending != nil {
		return s.V.Warn(s.task, "ww_ctx->contending_lock"), nil
	}
	ctx.contending = l.ww
	return s.V.Release(s.task, l.id, s.site()), nil
}

// wwAcquired proves the rules of a context that has got a mutex
// (ww_mutex_lock_acquired).
func (s *Script) wwAcquired(m *wwMutex, ctx *wwContext) *Report {
	switch {
	case m.ctx != nil:
		return s.V.Warn(s.task, "ww->ctx")
	case ctx.done:
		return s.V.Warn(s.task, "ww_ctx->done_acquire")
	case ctx.contending != nil && ctx.contending != m:
		return s.V.Warn(s.task, "ww_ctx->contending_lock != ww")
	case ctx.contending != nil && ctx.acquired > 0:
		return s.V.Warn(s.task, "ww_ctx->acquired > 0")
	case ctx.class != m.class:
		return s.V.Warn(s.task, "ww_ctx->ww_class != ww->ww_class")
	}
	ctx.contending = nil
	ctx.acquired++
	m.ctx = ctx
	return nil
}

func (s *Script) wwTryLock(l *scriptLock, ctx *wwContext) *Report {
	if ctx == nil || l.writer != nil {
		return s.tryLock(l, 0)
	}
	l.writer = s.task
	if r := s.wwAcquired(l.ww, ctx); r != nil {
		return r
	}
	return s.V.Acquire(s.task, l.id, Acquire{Try: true, Nest: ctx.lock, Site: s.site()})
}

func (s *Script) wwUnlock(l *scriptLock) *Report {
	if c := l.ww.ctx; c != nil {
		if c.acquired == 0 {
			return s.V.Warn(s.task, "!lock->ctx->acquired")
		}
		c.acquired--
		l.ww.ctx = nil
	}
	return s.unlock(l, false)
}

var errPoke = errors.New("found no field, want X.field = value")

// poke overwrites a field of a context or mutex, as the self-test does to fake
// another owner: "t.acquired = 0", "t.stamp += 1", "t2.stamp = t.stamp -1",
// "o.ctx = t2", "t.ww_class = none".
func (s *Script) poke(f []string) error {
	if len(f) < 3 {
		return errPoke
	}
	name, field, ok := strings.Cut(f[0], ".")
	if !ok {
		return errPoke
	}
	value := f[2]
	switch field {
	case "ctx":
		m := s.lockOf(lockKinds["ww"], name).ww
		m.ctx = nil
		if value != "none" {
			m.ctx = s.context(value)
		}
	case "acquired":
		_, err := fmt.Sscanf(value, "%d", &s.context(name).acquired)
		return err
	case "ww_class":
		s.context(name).class = value
	case "stamp":
		return s.pokeStamp(s.context(name), f[1], f[2:])
	default:
		return errPoke
	}
	return nil
}

// pokeStamp changes a stamp. A stamp taken from another context means that the
// whole context is copied from it first.
func (s *Script) pokeStamp(c *wwContext, op string, f []string) error {
	n := int64(0)
	last := f[len(f)-1]
	if _, err := fmt.Sscanf(last, "%d", &n); err != nil {
		return err
	}
	if op == "+=" {
		c.stamp += n
		return nil
	}
	from, isCopy := strings.CutSuffix(f[0], ".stamp")
	if !isCopy {
		c.stamp = n
		return nil
	}
	*c = *s.context(from)
	c.stamp += n
	return nil
}
