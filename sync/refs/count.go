package refs

// Saturated is where a broken reference count sticks, in the middle of the
// negative values, so that no number of racing operations leads out of them.
const Saturated = -1 << 31 / 2

// saturatedWord is Saturated as the unsigned word that refcount_read gives.
const saturatedWord = 0xc0000000

// Warning is what the kernel prints of a misused reference count, "" if nothing.
// The kernel prints each at most once; here every misuse is told.
type Warning string

// The warnings of refcount_t.
const (
	WarnAddFromZero Warning = "refcount_t: addition on 0; use-after-free."
	WarnSaturated   Warning = "refcount_t: saturated; leaking memory."
	WarnUnderflow   Warning = "refcount_t: underflow; use-after-free."
	WarnLeak        Warning = "refcount_t: decrement hit 0; leaking memory."
)

// Count is a reference count (refcount_t). Set it before use.
type Count struct{ refs Atomic }

// Read is refcount_read.
func (c *Count) Read() uint32 { return uint32(c.refs.Read()) }

// Set is refcount_set.
func (c *Count) Set(n int32) { c.refs.Set(n) }

func (c *Count) saturate(w Warning) Warning {
	c.refs.Set(Saturated)
	return w
}

// Add adds i to a count that must not be 0 (refcount_add).
func (c *Count) Add(i int32) Warning {
	old := c.refs.FetchAdd(i)
	switch {
	case old == 0:
		return c.saturate(WarnAddFromZero)
	case old < 0 || old+i < 0:
		return c.saturate(WarnSaturated)
	}
	return ""
}

// Inc adds 1 to a count that must not be 0 (refcount_inc).
func (c *Count) Inc() Warning { return c.Add(1) }

// AddNotZero adds i unless the count is 0, and says whether it was not
// (refcount_add_not_zero).
func (c *Count) AddNotZero(i int32) (bool, Warning) {
	old := c.refs.FetchAddUnless(i, 0)
	if old < 0 || old+i < 0 {
		return old != 0, c.saturate(WarnSaturated)
	}
	return old != 0, ""
}

// IncNotZero adds 1 unless the count is 0 (refcount_inc_not_zero).
func (c *Count) IncNotZero() (bool, Warning) { return c.AddNotZero(1) }

// SubAndTest subtracts i and says whether that was the last
// (refcount_sub_and_test).
func (c *Count) SubAndTest(i int32) (bool, Warning) {
	old := c.refs.FetchSub(i)
	if old == i {
		return true, ""
	}
	if old < 0 || old-i < 0 {
		return false, c.saturate(WarnUnderflow)
	}
	return false, ""
}

// DecAndTest subtracts 1 and says whether that was the last
// (refcount_dec_and_test).
func (c *Count) DecAndTest() (bool, Warning) { return c.SubAndTest(1) }

// Dec subtracts 1 from a count that must be above 1 (refcount_dec).
func (c *Count) Dec() Warning {
	if c.refs.FetchSub(1) <= 1 {
		return c.saturate(WarnLeak)
	}
	return ""
}

// DecIfOne takes the count from 1 to 0 and says whether it did
// (refcount_dec_if_one).
func (c *Count) DecIfOne() bool {
	one := int32(1)
	return c.refs.TryCmpXchg(&one, 0)
}

// DecNotOne subtracts 1 unless the count is 1, and says whether it was not
// (refcount_dec_not_one). A saturated count stays; 0 stays, with a warning.
func (c *Count) DecNotOne() (bool, Warning) {
	switch v := c.Read(); v {
	case saturatedWord:
		return true, ""
	case 1:
		return false, ""
	case 0:
		return true, WarnUnderflow
	}
	c.refs.FetchSub(1)
	return true, ""
}
