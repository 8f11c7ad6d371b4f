package sched

import "strconv"

// CPU is the number of a CPU, from 0.
type CPU int32

// TaskID is the dense index of a task in its machine; the pid is in [TaskInfo].
type TaskID int32

// NoTask is the TaskID of no task.
const NoTask TaskID = -1

// GroupID is the dense index of a task group (cgroup) in its machine.
type GroupID int32

// RootGroup is the group that every machine has.
const RootGroup GroupID = 0

// NoGroup is the GroupID of no group.
const NoGroup GroupID = -1

// QueueID is the index of a fair run queue: the cfs_rq of one group on one CPU.
type QueueID int32

// EntityID is the index of a scheduling entity: a task's, or the one that
// stands for a group's queue in the queue above it.
type EntityID int32

// None is the index of nothing, for QueueID and EntityID.
const None = -1

// Policy is a scheduling policy, with the kernel's number.
type Policy int8

// The scheduling policies of Linux.
const (
	PolicyNormal   Policy = 0 // SCHED_NORMAL, also called SCHED_OTHER
	PolicyFIFO     Policy = 1 // SCHED_FIFO
	PolicyRR       Policy = 2 // SCHED_RR
	PolicyBatch    Policy = 3 // SCHED_BATCH
	PolicyIdle     Policy = 5 // SCHED_IDLE
	PolicyDeadline Policy = 6 // SCHED_DEADLINE
)

var policyNames = [...]string{"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "", "SCHED_IDLE", "SCHED_DEADLINE"}

// String is the policy's name as chrt prints it.
func (p Policy) String() string {
	if p >= 0 && int(p) < len(policyNames) && policyNames[p] != "" {
		return policyNames[p]
	}
	return "policy " + strconv.Itoa(int(p))
}

func (p Policy) fair() bool  { return p == PolicyNormal || p == PolicyBatch || p == PolicyIdle }
func (p Policy) rt() bool    { return p == PolicyFIFO || p == PolicyRR }
func (p Policy) valid() bool { return p.fair() || p.rt() || p == PolicyDeadline }

// Class is a scheduling class. A runnable task of a higher class runs before
// every task of a lower one.
type Class int8

// The scheduling classes, lowest first.
const (
	ClassIdle Class = iota
	ClassFair
	ClassRT
	ClassDeadline
	ClassStop
)

var classNames = [...]string{"idle", "fair", "rt", "deadline", "stop"}

// String is the class's name.
func (c Class) String() string {
	if c >= 0 && int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// State is what a task does: the bits of task_struct.__state and exit_state.
//
//	New --WakeNew--> Running --Block--> Interruptible, Uninterruptible,
//	    Stopped, Traced, Parked or Idle --Wake--> Running --Exit--> Dead
type State uint16

// The task states, with the kernel's numbers.
const (
	StateRunning         State = 0
	StateInterruptible   State = 0x1
	StateUninterruptible State = 0x2
	StateStopped         State = 0x4
	StateTraced          State = 0x8
	StateExitDead        State = 0x10 // "X" in sched_switch
	StateZombie          State = 0x20 // "Z"
	StateParked          State = 0x40
	StateDead            State = 0x80
	StateWaking          State = 0x200
	StateNoload          State = 0x400
	StateNew             State = 0x800
	StateRTLockWait      State = 0x1000                             // PREEMPT_RT: waits for a spin lock that sleeps; "D" in sched_switch
	StateIdle                  = StateUninterruptible | StateNoload // TASK_IDLE, "I"
)

// Priorities as task_struct.prio has them: below 0 deadline, 0 to 99 real time
// (99 - rt_priority), 100 to 139 fair (120 + nice).
const (
	maxDLPrio   = 0
	maxRTPrio   = 100
	defaultPrio = 120
	maxPrio     = 140
)

// MinNice and MaxNice bound nice values.
const (
	MinNice = -20
	MaxNice = 19
)

func niceToPrio(nice int) int { return defaultPrio + nice }
func prioToNice(prio int) int { return prio - defaultPrio }

// classOf is the class of a task with an effective priority.
func classOf(prio int) Class {
	switch {
	case prio < maxDLPrio:
		return ClassDeadline
	case prio < maxRTPrio:
		return ClassRT
	}
	return ClassFair
}

// Runtime units.
const (
	usec = 1000
	msec = 1000 * usec
	sec  = 1000 * msec
)

// RuntimeInf says that there is no limit on a runtime.
const RuntimeInf = ^uint64(0)
