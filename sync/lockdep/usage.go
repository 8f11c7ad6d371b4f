package lockdep

import "strings"

// Usage is a set of the ways in which a class was used (enum lock_usage_bit).
type Usage uint16

// UsageBit is one of them. Bit 0 of a bit below 8 tells reading, bit 1 that it was
// taken with the interrupt enabled (not in it), bit 2 the softirq.
type UsageBit uint8

// The usage bits.
const (
	UsedInHardirq UsageBit = iota
	UsedInHardirqRead
	EnabledHardirq
	EnabledHardirqRead
	UsedInSoftirq
	UsedInSoftirqRead
	EnabledSoftirq
	EnabledSoftirqRead
	Used
	UsedRead
	usageBits
)

const (
	readBit    = 1
	enabledBit = 2

	maskRead    Usage = 1<<UsedInHardirqRead | 1<<EnabledHardirqRead | 1<<UsedInSoftirqRead | 1<<EnabledSoftirqRead
	maskWrite         = maskRead >> 1
	maskUsedIn  Usage = 1<<UsedInHardirq | 1<<UsedInHardirqRead | 1<<UsedInSoftirq | 1<<UsedInSoftirqRead
	maskEnabled       = maskUsedIn << enabledBit
)

var usageNames = [usageBits]string{
	"IN-HARDIRQ-W", "IN-HARDIRQ-R", "HARDIRQ-ON-W", "HARDIRQ-ON-R",
	"IN-SOFTIRQ-W", "IN-SOFTIRQ-R", "SOFTIRQ-ON-W", "SOFTIRQ-ON-R",
	"INITIAL USE", "INITIAL READ USE",
}

// String is the bit's name as in reports: "IN-HARDIRQ-W".
func (b UsageBit) String() string {
	if b < usageBits {
		return usageNames[b]
	}
	return "?"
}

// context is the interrupt kind of a bit with -READ for readers: "HARDIRQ-READ".
func (b UsageBit) context() string {
	s := "HARDIRQ"
	if b >= UsedInSoftirq {
		s = "SOFTIRQ"
	}
	if b&readBit != 0 {
		s += "-READ"
	}
	return s
}

// exclusive is the write bit of the opposite use.
func (b UsageBit) exclusive() UsageBit { return b&^readBit ^ enabledBit }

// Has says whether a set has a bit.
func (u Usage) Has(b UsageBit) bool { return u&(1<<b) != 0 }

// Chars are the four characters of reports and /proc/lockdep: hardirq, hardirq
// read, softirq, softirq read; each '.' neither, '-' taken in the interrupt, '+'
// taken with it enabled, '?' both.
func (u Usage) Chars() string {
	var out [4]byte
	for i, b := range [4]UsageBit{UsedInHardirq, UsedInHardirqRead, UsedInSoftirq, UsedInSoftirqRead} {
		out[i] = ".-+?"[usageChar(u.Has(b), u.Has(b+enabledBit))]
	}
	return string(out[:])
}

func usageChar(in, enabled bool) int {
	n := 0
	if in {
		n++
	}
	if enabled {
		n += 2
	}
	return n
}

// String lists the bits' names.
func (u Usage) String() string {
	var out []string
	for b := UsageBit(0); b < usageBits; b++ {
		if u.Has(b) {
			out = append(out, b.String())
		}
	}
	return strings.Join(out, ", ")
}

// opposite swaps taken-in and enabled, for writers and readers alike: the uses
// that exclude those of the mask.
func opposite(mask Usage) Usage {
	m := mask&maskEnabled>>enabledBit | mask&maskUsedIn<<enabledBit
	return m | m&maskRead>>readBit | m&maskWrite<<readBit
}

// clash finds the first pair of uses that exclude each other
// (find_exclusive_match).
func clash(back, forward Usage) (UsageBit, UsageBit, bool) {
	for b := UsageBit(0); b < Used; b++ {
		if !back.Has(b) {
			continue
		}
		if x := b.exclusive(); forward.Has(x) {
			return b, x, true
		} else if forward.Has(x | readBit) {
			return b, x | readBit, true
		}
	}
	return 0, 0, false
}

// markUsage sets the usage bits of a lock that is being taken (mark_usage).
func (v *Validator) markUsage(t *Task, h *held) *Report {
	if h.check {
		if r := v.markContext(t, h); r != nil {
			return r
		}
	}
	return v.mark(t, h, Used)
}

func (v *Validator) markContext(t *Task, h *held) *Report {
	read := UsageBit(0)
	if h.read != 0 {
		read = readBit
	}
	bits := [4]struct {
		on  bool
		bit UsageBit
	}{
		{!h.try && t.hardirqContext > 0, UsedInHardirq},
		{!h.try && t.softirqContext > 0, UsedInSoftirq},
		{!h.irqsOff && !h.sync, EnabledHardirq},
		{!h.irqsOff && !h.sync && t.softirqsOn, EnabledSoftirq},
	}
	for _, b := range bits {
		if b.on {
			if r := v.mark(t, h, b.bit|read); r != nil {
				return r
			}
		}
	}
	return nil
}

// mark sets one usage bit of a held lock's class and proves that it agrees with
// the other bits and classes (mark_lock, mark_lock_irq).
func (v *Validator) mark(t *Task, h *held, b UsageBit) *Report {
	if b == Used && h.read != 0 {
		b = UsedRead
	}
	c := &v.classes[h.class]
	if c.usage.Has(b) {
		return nil
	}
	c.usage |= 1 << b
	c.traces[b] = v.saveTrace(t)
	if b >= Used {
		return nil
	}
	excl := b.exclusive()
	if c.usage.Has(excl) {
		return v.reportInconsistent(t, h, excl, b)
	}
	if b&readBit == 0 && c.usage.Has(excl|readBit) {
		return v.reportInconsistent(t, h, excl|readBit, b)
	}
	return v.checkInversion(t, h, excl, b&enabledBit == 0)
}

// checkInversion proves that no class reachable from a held lock's class, forwards
// or backwards, has the use excl (check_usage_forwards, check_usage_backwards).
func (v *Validator) checkInversion(t *Task, h *held, excl UsageBit, forwards bool) *Report {
	mask := Usage(1<<excl | 1<<(excl|readBit))
	root := int32(rootAfter)
	if forwards {
		v.stats.FindForwards++
		v.setRoot(root, h.class, h.read == 2)
	} else {
		v.stats.FindBackwards++
		root = rootBefore
		v.setRoot(root, h.class, h.read != 0)
	}
	found := v.search(root, forwards, true, query{kind: findUsage, mask: mask})
	if found < 0 {
		return nil
	}
	bit := excl
	if !v.classes[v.edges[found].class].usage.Has(excl) {
		bit |= readBit
	}
	return v.reportInversion(t, h, root, found, forwards, bit)
}

// checkIRQUsage proves that the new dependency prev -> next joins no class that
// interrupts take with one that is held while they are enabled (check_irq_usage).
func (v *Validator) checkIRQUsage(t *Task, prev, next *held) *Report {
	v.setRoot(rootBefore, prev.class, prev.read != 0)
	mask := Usage(0)
	v.search(rootBefore, false, true, query{kind: gatherUsage, gathered: &mask})
	mask &= maskUsedIn
	if mask == 0 {
		return nil
	}
	v.setRoot(rootAfter, next.class, next.read == 2)
	v.stats.FindForwards++
	unsafe := v.search(rootAfter, true, true, query{kind: findUsage, mask: opposite(mask)})
	if unsafe < 0 {
		return nil
	}
	unsafeUsage := v.classes[v.edges[unsafe].class].usage
	v.stats.FindBackwards++
	safe := v.search(rootBefore, false, true, query{kind: findUsage, mask: opposite(unsafeUsage & maskEnabled)})
	if safe < 0 {
		return nil
	}
	in, on, ok := clash(v.classes[v.edges[safe].class].usage, unsafeUsage)
	if !ok {
		return nil
	}
	return v.reportIRQOrder(t, prev, next, safe, unsafe, in, on)
}
