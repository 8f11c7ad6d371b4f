package refs

// Word is the width of an atomic integer: int32 for atomic_t, int64 for
// atomic64_t.
type Word interface{ ~int32 | ~int64 }

// Int is an atomic integer. Its zero value is 0.
type Int[W Word] struct{ v W }

// Atomic is atomic_t, Atomic64 atomic64_t.
type (
	Atomic   = Int[int32]
	Atomic64 = Int[int64]
)

// Read is atomic_read.
func (a *Int[W]) Read() W { return a.v }

// Set is atomic_set.
func (a *Int[W]) Set(v W) { a.v = v }

// fetch replaces the value and returns the old one.
func (a *Int[W]) fetch(v W) W {
	old := a.v
	a.v = v
	return old
}

// FetchAdd adds and returns the old value; AddReturn the new one.
func (a *Int[W]) FetchAdd(i W) W { return a.fetch(a.v + i) }

// FetchSub subtracts and returns the old value.
func (a *Int[W]) FetchSub(i W) W { return a.fetch(a.v - i) }

// FetchAnd is atomic_fetch_and.
func (a *Int[W]) FetchAnd(i W) W { return a.fetch(a.v & i) }

// FetchAndNot clears the bits of i and returns the old value.
func (a *Int[W]) FetchAndNot(i W) W { return a.fetch(a.v &^ i) }

// FetchOr is atomic_fetch_or.
func (a *Int[W]) FetchOr(i W) W { return a.fetch(a.v | i) }

// FetchXor is atomic_fetch_xor.
func (a *Int[W]) FetchXor(i W) W { return a.fetch(a.v ^ i) }

// AddReturn adds and returns the new value.
func (a *Int[W]) AddReturn(i W) W { a.v += i; return a.v }

// SubReturn subtracts and returns the new value.
func (a *Int[W]) SubReturn(i W) W { a.v -= i; return a.v }

// FetchInc, FetchDec, IncReturn and DecReturn add or subtract 1.
func (a *Int[W]) FetchInc() W { return a.FetchAdd(1) }

// FetchDec subtracts 1 and returns the old value.
func (a *Int[W]) FetchDec() W { return a.FetchSub(1) }

// IncReturn adds 1 and returns the new value.
func (a *Int[W]) IncReturn() W { return a.AddReturn(1) }

// DecReturn subtracts 1 and returns the new value.
func (a *Int[W]) DecReturn() W { return a.SubReturn(1) }

// SubAndTest subtracts and says whether the result is 0.
func (a *Int[W]) SubAndTest(i W) bool { return a.SubReturn(i) == 0 }

// DecAndTest subtracts 1 and says whether the result is 0.
func (a *Int[W]) DecAndTest() bool { return a.SubAndTest(1) }

// IncAndTest adds 1 and says whether the result is 0.
func (a *Int[W]) IncAndTest() bool { return a.AddReturn(1) == 0 }

// AddNegative adds and says whether the result is negative.
func (a *Int[W]) AddNegative(i W) bool { return a.AddReturn(i) < 0 }

// Xchg replaces the value and returns the old one.
func (a *Int[W]) Xchg(v W) W { return a.fetch(v) }

// CmpXchg replaces the value if it is old; it returns what it found.
func (a *Int[W]) CmpXchg(old, v W) W {
	found := a.v
	if found == old {
		a.v = v
	}
	return found
}

// TryCmpXchg replaces the value if it is *old; if not, *old becomes what it
// found.
func (a *Int[W]) TryCmpXchg(old *W, v W) bool {
	found := a.CmpXchg(*old, v)
	ok := found == *old
	*old = found
	return ok
}

// FetchAddUnless adds i unless the value is u; it returns the old value.
func (a *Int[W]) FetchAddUnless(i, u W) W {
	old := a.v
	if old != u {
		a.v += i
	}
	return old
}

// AddUnless adds i unless the value is u and says whether it did.
func (a *Int[W]) AddUnless(i, u W) bool { return a.FetchAddUnless(i, u) != u }

// IncNotZero adds 1 unless the value is 0.
func (a *Int[W]) IncNotZero() bool { return a.AddUnless(1, 0) }

// IncUnlessNegative adds 1 unless the value is negative.
func (a *Int[W]) IncUnlessNegative() bool {
	if a.v < 0 {
		return false
	}
	a.v++
	return true
}

// DecUnlessPositive subtracts 1 unless the value is positive.
func (a *Int[W]) DecUnlessPositive() bool {
	if a.v > 0 {
		return false
	}
	a.v--
	return true
}

// DecIfPositive subtracts 1 if the result is not negative; it returns the result,
// stored or not.
func (a *Int[W]) DecIfPositive() W {
	dec := a.v - 1
	if dec >= 0 {
		a.v = dec
	}
	return dec
}

// Order is how an operation is ordered against other memory accesses.
type Order uint8

const (
	// Relaxed orders nothing.
	Relaxed Order = iota
	// AcquireOrder orders what follows after the load.
	AcquireOrder
	// ReleaseOrder orders what precedes before the store.
	ReleaseOrder
	// Full orders both, as smp_mb before and after.
	Full
)

// OrderOf is the ordering of an operation by the kernel's name for it, without
// "atomic_": operations without a value are relaxed, those with one fully ordered,
// unless the name ends in _relaxed, _acquire or _release. A conditional operation
// that fails (ok is false) orders nothing.
func OrderOf(name string, ok bool) Order {
	order := Full
	switch {
	case hasSuffix(name, "_relaxed"):
		order = Relaxed
	case hasSuffix(name, "_acquire"):
		order = AcquireOrder
	case hasSuffix(name, "_release"):
		order = ReleaseOrder
	case name == "read", name == "set", voidOps[name]:
		order = Relaxed
	}
	if !ok {
		return Relaxed
	}
	return order
}

func hasSuffix(s, end string) bool { return len(s) > len(end) && s[len(s)-len(end):] == end }

var voidOps = map[string]bool{
	"add": true, "sub": true, "inc": true, "dec": true, "and": true, "andnot": true, "or": true, "xor": true,
	"set_bit": true, "clear_bit": true, "change_bit": true,
}
