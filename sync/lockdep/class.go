package lockdep

import "strconv"

// KeyID names a lock class key: the place where locks are set up. 0 is none.
type KeyID int32

// LockID names a lock instance (the kernel's lockdep_map). 0 is none.
type LockID int32

// ClassID names a lock class: a key and a subclass. 0 is none.
type ClassID int32

// MaxSubclasses is how many nesting levels a key has (MAX_LOCKDEP_SUBCLASSES).
const MaxSubclasses = 8

// WaitType says what a lock does to those who wait for it, from "does not wait"
// to "may sleep" (enum lockdep_wait_type).
type WaitType uint8

const (
	// WaitInvalid is no wait type: the lock is not checked.
	WaitInvalid WaitType = iota
	// WaitFree waits for nothing, as RCU.
	WaitFree
	// WaitSpin spins on every kernel, as raw_spinlock_t.
	WaitSpin
	// WaitConfig spins or, on PREEMPT_RT, sleeps, as spinlock_t.
	WaitConfig
	// WaitSleep sleeps, as struct mutex.
	WaitSleep
	waitMax
)

// LockType tells locks apart that are no real locks (enum lockdep_lock_type).
type LockType uint8

const (
	// LockNormal is a lock.
	LockNormal LockType = iota
	// LockPerCPU is a local_lock_t: not a lock except on PREEMPT_RT.
	LockPerCPU
	// LockWaitOverride only changes the wait type of what is taken inside.
	LockWaitOverride
)

// Key describes locks that are set up at one place.
type Key struct {
	// Name is the class's name, as in reports.
	Name string
	// Inner is the wait type of the lock; Outer, if set, what the lock itself
	// needs of its surroundings (RCU: WaitFree outside, WaitConfig inside).
	Inner, Outer WaitType
	Type         LockType
	// Addr is printed as the key's address, in /proc/lockdep and reports.
	Addr uint64
	// NoValidate leaves the locks out of the dependency graph
	// (lockdep_set_novalidate_class).
	NoValidate bool
	// Compare orders locks of this class by instance: negative if the first may
	// be held while the second is taken (lockdep_set_lock_cmp_fn); nil for none.
	Compare func(held, next LockID) int
}

type key struct {
	Key
	classes [MaxSubclasses]ClassID
	dead    bool
}

type lock struct {
	key  KeyID
	addr uint64
}

// class is a lock class. Its usage only grows while it lives.
type class struct {
	name         string
	key          KeyID
	subclass     uint8
	inner, outer WaitType
	lockType     LockType
	usage        Usage
	dead         bool
	// version tells classes of one name apart, from 1.
	version int32
	// after and before are the lists of dependencies, indexes into Validator.edges.
	after, before edgeList
	// seen is the number of the last search that came here.
	seen uint32
	// traces are where each usage bit was set, indexes into Validator.traces.
	traces [usageBits]int32
	ops    uint64
	stat   classStat
}

// NewKey registers a key.
func (v *Validator) NewKey(k Key) KeyID {
	v.keys = append(v.keys, key{Key: k})
	return KeyID(len(v.keys) - 1)
}

// NewLock sets up a lock of a key's classes (lockdep_init_map). addr is the
// lock's address in reports. It is 0 if there is no such key.
func (v *Validator) NewLock(k KeyID, addr uint64) LockID {
	if k <= 0 || int(k) >= len(v.keys) || v.keys[k].dead {
		return 0
	}
	v.locks = append(v.locks, lock{key: k, addr: addr})
	return LockID(len(v.locks) - 1)
}

func (v *Validator) validLock(l LockID) bool { return l > 0 && int(l) < len(v.locks) }

// classOf finds or registers the class of a lock at a subclass
// (register_lock_class). It is 0 if a limit is reached, which is reported.
func (v *Validator) classOf(t *Task, l LockID, subclass uint8) (ClassID, *Report) {
	k := &v.keys[v.locks[l].key]
	if c := k.classes[subclass]; c != 0 {
		return c, nil
	}
	if len(v.classes)-1 >= v.cfg.MaxClasses {
		return 0, v.limit(t, "MAX_LOCKDEP_KEYS")
	}
	id := ClassID(len(v.classes))
	v.classes = append(v.classes, class{
		name: k.Name, key: v.locks[l].key, subclass: subclass,
		inner: k.Inner, outer: k.Outer, lockType: k.Type,
		version: v.nameVersion(k, l),
	})
	k.classes[subclass] = id
	v.byName[k.Name] = append(v.byName[k.Name], id)
	return id, nil
}

// nameVersion counts classes of one name (count_matching_names): the subclasses
// of a key share a number.
func (v *Validator) nameVersion(k *key, l LockID) int32 {
	n := int32(0)
	for _, id := range v.byName[k.Name] {
		c := &v.classes[id]
		if c.dead {
			continue
		}
		if c.key == v.locks[l].key {
			return c.version
		}
		n = max(n, c.version)
	}
	return n + 1
}

// FreeKey forgets a key with its classes and all their dependencies and chains
// (lockdep_unregister_key): what a module's unloading does. Locks of the key must
// not be used after it.
func (v *Validator) FreeKey(k KeyID) {
	if k <= 0 || int(k) >= len(v.keys) || v.keys[k].dead {
		return
	}
	v.keys[k].dead = true
	for _, id := range v.keys[k].classes {
		if id != 0 {
			v.zapClass(id)
		}
	}
	v.rebuildChains()
}

func (v *Validator) zapClass(id ClassID) {
	for i := range v.classes {
		c := &v.classes[i]
		v.dropEdges(&c.after, id)
		v.dropEdges(&c.before, id)
	}
	c := &v.classes[id]
	for _, list := range []*edgeList{&c.after, &c.before} {
		for e := list.head; e != 0; e = v.edges[e].next {
			v.liveEdges--
		}
		*list = edgeList{}
	}
	c.dead = true
	v.stats.Zapped++
}

// WriteName appends a class's name as reports print it: name, number if there
// are several of the name, subclass.
func (c *class) appendName(b []byte) []byte {
	b = append(b, c.name...)
	if c.version > 1 {
		b = append(b, '#')
		b = strconv.AppendInt(b, int64(c.version), 10)
	}
	if c.subclass > 0 {
		b = append(b, '/')
		b = strconv.AppendInt(b, int64(c.subclass), 10)
	}
	return b
}

// numeric is a wait type's number in reports: without PROVE_RAW_LOCK_NESTING a
// spinlock is like a raw one.
func (v *Validator) numeric(w WaitType) int {
	if v.cfg.RawLockNesting || w <= WaitSpin {
		return int(w)
	}
	return int(w) - 1
}

// Class is what is known of a lock class.
type Class struct {
	ID       ClassID
	Name     string
	Subclass int
	Usage    Usage
	// After are the classes that were taken while this one was held, directly;
	// Before those that were held when this one was taken.
	After, Before []ClassID
}

// Classes lists the registered classes in order of registration.
func (v *Validator) Classes() []Class {
	var out []Class
	for i := 1; i < len(v.classes); i++ {
		c := &v.classes[i]
		if c.dead {
			continue
		}
		out = append(out, Class{
			ID: ClassID(i), Name: string(c.appendName(nil)), Subclass: int(c.subclass), Usage: c.usage,
			After: v.neighbours(c.after), Before: v.neighbours(c.before),
		})
	}
	return out
}
