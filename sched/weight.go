package sched

import "math/bits"

// Fixed point. Load weights have loadShift fractional bits on 64-bit kernels
// (scale_load); nice 0 weighs 1024 before scaling. Utilization and capacity
// are parts of 1024.
const (
	loadShift     = 10
	nice0Load     = 1024 << loadShift
	minShares     = 2
	maxShares     = 1 << 18
	idleWeight    = 3
	capacityShift = 10
	capacityScale = 1 << capacityShift
)

// niceLoads are the loads of nice -20 to 19, the weights not yet scaled. Each
// weight is about 1.25 times the next: one nice step is worth about 10% of CPU.
// The inverses are 2^32 divided by the weight; that some are rounded and some
// cut off is how Linux has them, and it shows in virtual runtimes.
var niceLoads = [...]load{
	{88761, 48388}, {71755, 59856}, // -20, -19
	{56483, 76040}, {46273, 92818}, // -18, -17
	{36291, 118348}, {29154, 147320}, // -16, -15
	{23254, 184698}, {18705, 229616}, // -14, -13
	{14949, 287308}, {11916, 360437}, // -12, -11
	{9548, 449829}, {7620, 563644}, // -10, -9
	{6100, 704093}, {4904, 875809}, // -8, -7
	{3906, 1099582}, {3121, 1376151}, // -6, -5
	{2501, 1717300}, {1991, 2157191}, // -4, -3
	{1586, 2708050}, {1277, 3363326}, // -2, -1
	{1024, 4194304}, {820, 5237765}, // 0, 1
	{655, 6557202}, {526, 8165337}, // 2, 3
	{423, 10153587}, {335, 12820798}, // 4, 5
	{272, 15790321}, {215, 19976592}, // 6, 7
	{172, 24970740}, {137, 31350126}, // 8, 9
	{110, 39045157}, {87, 49367440}, // 10, 11
	{70, 61356676}, {56, 76695844}, // 12, 13
	{45, 95443717}, {36, 119304647}, // 14, 15
	{29, 148102320}, {23, 186737708}, // 16, 17
	{18, 238609294}, {15, 286331153}, // 18, 19
}

// NiceWeight is the load weight of a nice value (clamped to -20 to 19), before
// scaling: 1024 for nice 0.
func NiceWeight(nice int) uint32 {
	return uint32(niceLoads[min(max(nice, MinNice), MaxNice)-MinNice].weight)
}

// load is a load_weight: a weight with its inverse, 2^32 divided by the weight
// before scaling. An inverse of 0 has to be computed when it is needed.
type load struct {
	weight uint64
	inv    uint32
}

// weightOf is the load of a task. Its inverse is from the table, that of a
// group or queue is computed (see inverse); the two differ for some weights.
func weightOf(policy Policy, nice int) load {
	l := load{idleWeight, (1<<32 - 1) / idleWeight}
	if policy != PolicyIdle {
		l = niceLoads[nice-MinNice]
	}
	l.weight <<= loadShift
	return l
}

func (l *load) set(w uint64) { l.weight, l.inv = w, 0 }
func (l *load) add(w uint64) { l.weight, l.inv = l.weight+w, 0 }
func (l *load) sub(w uint64) { l.weight, l.inv = l.weight-w, 0 }

// inverse gives the inverse weight as __update_inv_weight computes it.
func (l *load) inverse() uint32 {
	if l.inv == 0 {
		switch w := l.weight >> loadShift; {
		case w >= 1<<32-1:
			l.inv = 1
		case w == 0:
			l.inv = 1<<32 - 1
		default:
			l.inv = (1<<32 - 1) / uint32(w)
		}
	}
	return l.inv
}

// calcDelta is delta * weight / l.weight in the kernel's fixed point
// (__calc_delta): rounding included.
func calcDelta(delta, weight uint64, l *load) uint64 {
	fact := weight >> loadShift
	shift := 32
	if n := bits.Len32(uint32(fact >> 32)); n > 0 {
		shift -= n
		fact >>= n
	}
	fact = uint64(uint32(fact)) * uint64(l.inverse())
	if n := bits.Len32(uint32(fact >> 32)); n > 0 {
		shift -= n
		fact >>= n
	}
	hi, lo := bits.Mul64(delta, uint64(uint32(fact)))
	return hi<<(64-shift) | lo>>shift
}

// calcDeltaFair is a time of delta ns in the virtual time of an entity of load
// l (calc_delta_fair): nice 0 is not rounded.
func calcDeltaFair(delta uint64, l *load) uint64 {
	if l.weight == nice0Load {
		return delta
	}
	return calcDelta(delta, nice0Load, l)
}

// VirtualTime is by how much the virtual runtime of a task grows that runs for
// some ns: more than that if it weighs less than nice 0.
func VirtualTime(ns uint64, nice int) uint64 {
	l := weightOf(PolicyNormal, min(max(nice, MinNice), MaxNice))
	return calcDeltaFair(ns, &l)
}
