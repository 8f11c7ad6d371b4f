package refs

// Bits is a bitmap of words of 64 bits, as the kernel's bit operations use them.
type Bits []uint64

// NewBits makes a bitmap for n bits, all 0.
func NewBits(n int) Bits { return make(Bits, (n+63)/64) }

// Test is test_bit. It is false for a bit outside the map.
func (b Bits) Test(n int) bool { return b.in(n) && b[n/64]>>(n%64)&1 != 0 }

func (b Bits) in(n int) bool { return n >= 0 && n < len(b)*64 }

// TestAndSet sets a bit and says whether it was set; outside the map it does
// nothing.
func (b Bits) TestAndSet(n int) bool {
	old := b.Test(n)
	if b.in(n) {
		b[n/64] |= 1 << (n % 64)
	}
	return old
}

// TestAndClear clears a bit and says whether it was set.
func (b Bits) TestAndClear(n int) bool {
	old := b.Test(n)
	if old {
		b[n/64] &^= 1 << (n % 64)
	}
	return old
}

// TestAndChange inverts a bit and says whether it was set.
func (b Bits) TestAndChange(n int) bool {
	if b.TestAndClear(n) {
		return true
	}
	b.TestAndSet(n)
	return false
}

// TestAndSetLock sets a bit that serves as a lock and says whether it was set; if
// it was, nothing is ordered.
func (b Bits) TestAndSetLock(n int) bool { return b.TestAndSet(n) }

// ClearUnlock clears a bit that serves as a lock.
func (b Bits) ClearUnlock(n int) { b.TestAndClear(n) }
