package sched

import "math/bits"

// Features are the scheduler's switches that /sys/kernel/debug/sched/features
// shows, as bits.
type Features uint64

// The features that change what the models do.
const (
	GentleFairSleepers   Features = 1 << iota // CFS: a sleeper's credit is half of the latency
	StartDebit                                // CFS: a new task is placed one slice later
	NextBuddy                                 // a woken task is preferred by the next pick
	LastBuddy                                 // CFS: a preempted task is preferred by the next pick
	WakeupPreemption                          // a woken task may preempt
	AltPeriod                                 // CFS: the period counts all tasks of the CPU
	BaseSlice                                 // CFS: no slice below the minimal granularity
	AttachAgeLoad                             // load decays while a task is between queues
	UtilEst                                   // estimate a task's utilization
	PlaceLag                                  // EEVDF: a task keeps its lag over a sleep
	PlaceDeadlineInitial                      // EEVDF: a new task gets half a slice
	PlaceRelDeadline                          // EEVDF: a migrated task keeps its deadline
	RunToParity                               // EEVDF: a task keeps the CPU for its slice
	PreemptShort                              // EEVDF: a shorter slice may break RunToParity
	DelayDequeue                              // EEVDF: a sleeper stays queued until its lag is spent
	DelayZero                                 // EEVDF: lag ends at zero with DelayDequeue
	PickBuddy                                 // EEVDF: a next buddy may be picked
	RTRuntimeShare                            // RT: CPUs lend each other runtime
	NonTaskCapacity                           // load balancing: interrupts take capacity
	WakeAffineIdle                            // wake_affine prefers an idle CPU
	WakeAffineWeight                          // wake_affine compares loads
	featuresEnd
)

var featureNames = [...]string{
	"GENTLE_FAIR_SLEEPERS", "START_DEBIT", "NEXT_BUDDY", "LAST_BUDDY", "WAKEUP_PREEMPTION", "ALT_PERIOD", "BASE_SLICE",
	"ATTACH_AGE_LOAD", "UTIL_EST", "PLACE_LAG", "PLACE_DEADLINE_INITIAL", "PLACE_REL_DEADLINE", "RUN_TO_PARITY",
	"PREEMPT_SHORT", "DELAY_DEQUEUE", "DELAY_ZERO", "PICK_BUDDY", "RT_RUNTIME_SHARE", "NONTASK_CAPACITY", "WA_IDLE", "WA_WEIGHT",
}

// FeatureByName gives the bit of a feature by the name that the kernel's file
// shows; ok is false for one that changes nothing here.
func FeatureByName(name string) (f Features, ok bool) {
	for i, n := range featureNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// String lists the features that are on, as the kernel's file does.
func (f Features) String() string {
	var s []byte
	for i, n := range featureNames {
		if i > 0 {
			s = append(s, ' ')
		}
		if f&(1<<i) == 0 {
			s = append(s, "NO_"...)
		}
		s = append(s, n...)
	}
	return string(s)
}

// Profile says how the scheduler of a kernel version behaves.
type Profile struct {
	Name string // kernel version, such as "6.1"
	// EEVDF chooses the fair class: earliest eligible virtual deadline first,
	// or the completely fair scheduler.
	EEVDF bool
	// ZeroVruntime (EEVDF): queues keep a moving zero for virtual time and no
	// min_vruntime. Linux 6.19; Debian's 6.12 has it backported.
	ZeroVruntime bool
	// ReweightLag (EEVDF): a change of weight keeps a queued entity's lag. Linux
	// 6.7.
	ReweightLag bool
	// DelayedDequeue (EEVDF): the feature DELAY_DEQUEUE exists, new tasks are
	// placed when they are first woken, tasks can ask for a slice, and the task
	// that ran is put back after the pick. Linux 6.12.
	DelayedDequeue bool
	// GroupSlice (EEVDF): a group's slice is the shortest one of its entities.
	// Linux 6.12.
	GroupSlice bool
	// FairServer: each CPU reserves time for its fair tasks, and real-time ones
	// have no other limit. Linux 6.12.
	FairServer bool
	// ServerStops: the fair server stops when the last fair task leaves. Linux
	// 6.12 as released.
	ServerStops bool
	// PickBuddy (EEVDF): the feature PICK_BUDDY lets the next buddy be picked;
	// before it NEXT_BUDDY did. Linux 6.15.
	PickBuddy bool
	// IdleUnprotect (EEVDF): an idle entity that a woken one preempts loses its
	// slice protection. Linux 6.17.
	IdleUnprotect bool
	// YieldVruntime (EEVDF): sched_yield gives up virtual runtime, up to the
	// deadline. Linux 6.18.
	YieldVruntime bool
	// VruntimeProtection (EEVDF): the running entity is protected up to a
	// virtual runtime, and not while it keeps its deadline. Linux 6.17.
	VruntimeProtection bool
	// KeepsAffinity: a change of a task's cpuset keeps the CPUs that it asked for.
	// Linux 6.2.
	KeepsAffinity bool
	// GroupLoadNS is how long a queue waits, in ns, before it tells its group
	// again how much load it has: 1 ms since Linux 6.7, 0 before.
	GroupLoadNS uint64
	// IdleCredit (CFS): a SCHED_IDLE sleeper's credit is the minimal
	// granularity. Linux 5.17.
	IdleCredit bool
	// OldFair (CFS): what is runnable is tracked by weight, sums of load have no
	// lower bound, a queue out of runtime is throttled without asking its pool
	// once more, and a new priority of the only task reschedules. Up to Linux 5.6.
	OldFair bool
	// NextOverLast (CFS): the next buddy wins over the last one, and picking
	// an entity makes it no buddy any more. Up to Linux 5.11.
	NextOverLast bool
	// Tunables are the values for one CPU; a machine scales them.
	Tunables Tunables
}

// Tunables are the values under /sys/kernel/debug/sched and
// /proc/sys/kernel/sched*. All times are nanoseconds.
type Tunables struct {
	Features             Features
	LatencyNS            uint64 // CFS: targeted period of a queue with few tasks
	MinGranularityNS     uint64 // CFS: least slice
	IdleMinGranularityNS uint64 // CFS: least slice of SCHED_IDLE beside others
	WakeupGranularityNS  uint64 // CFS: how far behind a woken task has to be to preempt
	BaseSliceNS          uint64 // EEVDF: slice
	// NrLatency is how many tasks share one latency period (sched_nr_latency).
	// The kernel computes it when its scaling is set, not with the two times: 0
	// stands for LatencyNS divided by MinGranularityNS, rounded up.
	NrLatency        uint64
	MigrationCostNS  uint64 // a task that ran less long ago is cache hot
	BandwidthSliceNS uint64 // runtime that a queue takes from its group's pool
	ChildRunsFirst   bool   // CFS: a forked child runs before its parent
	RTPeriodNS       uint64 // window of RTRuntimeNS
	RTRuntimeNS      uint64 // time that RT and deadline tasks may use of RTPeriodNS; RuntimeInf: all
	RRTimesliceTicks uint32 // time slice of SCHED_RR in ticks
	DLPeriodMinNS    uint64 // least period that SCHED_DEADLINE accepts
	DLPeriodMaxNS    uint64 // greatest period that SCHED_DEADLINE accepts
}

// nrLatency is sched_nr_latency: how many tasks share one latency period.
func (t *Tunables) nrLatency() uint64 {
	if t.NrLatency != 0 {
		return t.NrLatency
	}
	if t.MinGranularityNS == 0 {
		return 0
	}
	return (t.LatencyNS + t.MinGranularityNS - 1) / t.MinGranularityNS
}

// Scale gives the tunables of a machine with a number of CPUs: those that the
// kernel scales grow with 1 + log2(CPUs), at most 8 CPUs counted
// (sched_tunable_scaling = logarithmic).
func (t Tunables) Scale(cpus int) Tunables {
	f := uint64(bits.Len(uint(min(max(cpus, 1), 8))))
	t.LatencyNS *= f
	t.MinGranularityNS *= f
	t.WakeupGranularityNS *= f
	t.BaseSliceNS *= f
	return t
}

var baseTunables = Tunables{
	MigrationCostNS:  500 * usec,
	BandwidthSliceNS: 5 * msec,
	RTPeriodNS:       sec,
	RTRuntimeNS:      950 * msec,
	DLPeriodMinNS:    100 * usec,
	DLPeriodMaxNS:    4194304 * usec,
}

func cfsTunables(idleMinGranularity uint64, more Features) Tunables {
	t := baseTunables
	t.Features = GentleFairSleepers | StartDebit | LastBuddy | WakeupPreemption | AttachAgeLoad | UtilEst | NonTaskCapacity |
		WakeAffineIdle | WakeAffineWeight | more
	t.LatencyNS, t.MinGranularityNS, t.WakeupGranularityNS = 6*msec, 750*usec, msec
	t.IdleMinGranularityNS = idleMinGranularity
	return t
}

func eevdfTunables(slice uint64, more Features) Tunables {
	t := baseTunables
	t.Features = PlaceLag | PlaceDeadlineInitial | RunToParity | WakeupPreemption | AttachAgeLoad | UtilEst | NonTaskCapacity |
		WakeAffineIdle | WakeAffineWeight | more
	t.BaseSliceNS = slice
	return t
}

// Linux5_4 shares its rules with 6.1; where they differ it is as its source
// says. Its load tracking is equal to that kernel's functions on drawn operations;
// a Sim of several CPUs places and balances tasks as 6.1 does.
var Linux5_4 = Profile{Name: "5.4", NextOverLast: true, OldFair: true, Tunables: cfsTunables(0, RTRuntimeShare)}

// Linux6_1 is proven by replaying what such kernels did: captures of Debian's
// 6.1 with all functions of the scheduler, event by event.
var Linux6_1 = Profile{Name: "6.1", IdleCredit: true, Tunables: fixedLatency(cfsTunables(750*usec, AltPeriod|BaseSlice))}

// fixedLatency keeps the number of tasks in a latency period when the times are
// set, as Linux does since 5.13, where they are plain files of debugfs.
func fixedLatency(t Tunables) Tunables {
	t.NrLatency = 8
	return t
}

// Linux6_6 is EEVDF as it came: no delayed dequeue, and a change of weight
// keeps the virtual runtime. Its rules are those of the release's changes
// ("sched/fair: Add lag based placement", "sched/fair: Implement an EEVDF-like
// scheduling policy" and what follows them) as published; no capture proves
// them. Of entities with the same deadline it may take another one: its tree is
// ordered by virtual runtime.
var Linux6_6 = Profile{Name: "6.6", EEVDF: true, KeepsAffinity: true, Tunables: eevdfTunables(750*usec, 0)}

// Linux6_12 is 6.12 as released: as Debian6_12 but with min_vruntime, a slice
// of 0.75 ms, a yield that moves the deadline, and a fair server that stops.
// Those differences are as the changes that ended them say ("sched/eevdf: Fix
// min_vruntime vs avg_vruntime", "sched/fair: Forfeit vruntime on yield" and
// others, which Debian's kernel has backported), and a published trace of a
// kernel of that time shows the server stop in dequeue_entities; no capture
// proves them.
var Linux6_12 = Profile{Name: "6.12", EEVDF: true, KeepsAffinity: true, ReweightLag: true, DelayedDequeue: true, GroupSlice: true,
	FairServer: true, ServerStops: true, GroupLoadNS: msec,
	Tunables: eevdfTunables(750*usec, PlaceRelDeadline|PreemptShort|DelayDequeue|DelayZero)}

// Debian6_12 is proven by replaying what such a kernel did (6.12.117): captures
// with all functions of EEVDF, event by event; and groups, bandwidth and custom
// slices by states that the functions of its source have computed.
var Debian6_12 = Profile{Name: "6.12-debian", EEVDF: true, KeepsAffinity: true, ZeroVruntime: true, ReweightLag: true, DelayedDequeue: true, GroupSlice: true,
	FairServer: true, PickBuddy: true, IdleUnprotect: true, YieldVruntime: true, GroupLoadNS: msec,
	Tunables: eevdfTunables(700*usec, PlaceRelDeadline|PreemptShort|DelayDequeue|DelayZero|PickBuddy)}

// Linux6_18 has min_vruntime still, and protects the running entity's slice by
// a virtual runtime: as the changes of 6.17 say ("sched/fair: Fix
// NO_RUN_TO_PARITY case", "sched/fair: Remove spurious shorter slice
// preemption", "sched/fair: Limit run to parity to the min slice of enqueued
// entities"); no capture proves them. Its bandwidth control, which throttles
// tasks one by one when they return to user space, is not modelled: queues are
// throttled whole, as before.
var Linux6_18 = Profile{Name: "6.18", EEVDF: true, KeepsAffinity: true, ReweightLag: true, DelayedDequeue: true, GroupSlice: true,
	FairServer: true, PickBuddy: true, IdleUnprotect: true, YieldVruntime: true, VruntimeProtection: true, GroupLoadNS: msec,
	Tunables: eevdfTunables(700*usec, PlaceRelDeadline|PreemptShort|DelayDequeue|DelayZero|PickBuddy)}
