package sched

import (
	"slices"
	"strconv"
)

// Op is what a step of a task's program does.
type Op uint8

// The operations of programs. Times are ns.
const (
	OpCompute   Op = iota // use the CPU for N ns in user mode
	OpKernel              // use it for N ns in the kernel, where the preemption model decides who may interrupt
	OpAtomic              // use it for N ns with preemption disabled
	OpRandom              // use it for between N and M ns, drawn evenly
	OpSleep               // sleep for N ns (interruptible)
	OpSleepTill           // sleep until the next multiple of N ns after the task's start, plus M
	OpBlock               // block until some task wakes this one (uninterruptible)
	OpWake                // wake the task with index N of the simulation
	OpSend                // put a token into channel N and wake its first waiter
	OpReceive             // take a token out of channel N, waiting for one if there is none
	OpYield               // sched_yield
	OpFork                // start a task with spec N of the simulation
	OpNice                // set the own nice value to N
	OpAttr                // set the own attributes to those with index N of the simulation
	OpAffinity            // set the own CPUs to mask N of the simulation
	OpLock                // acquire lock N of the simulation's Locker
	OpUnlock              // release it
	OpRepeat              // go back to step M, N times in all; N 0: for ever
	OpExit                // end; the end of a program does the same
	opEnd
)

var opNames = [...]string{"compute", "kernel", "atomic", "random", "sleep", "sleeptill", "block", "wake", "send", "receive", "yield", "fork",
	"nice", "attr", "affinity", "lock", "unlock", "repeat", "exit"}

// String is the operation's name.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "op " + strconv.Itoa(int(o))
}

// Step is one step of a program: see the operations for what N and M are.
type Step struct {
	Op   Op
	N, M int64
}

// Program is what a task does, step by step. One that a task was given must not be
// changed any more.
type Program []Step

// Loop makes a program that repeats its steps for ever.
func Loop(steps ...Step) Program { return append(Program(steps), Step{Op: OpRepeat}) }

// Compute, Sleep and so on make the steps used most.
func Compute(ns int64) Step { return Step{Op: OpCompute, N: ns} }

// Sleep is a step that sleeps for ns.
func Sleep(ns int64) Step { return Step{Op: OpSleep, N: ns} }

// Random is a step that computes for between lo and hi ns.
func Random(lo, hi int64) Step { return Step{Op: OpRandom, N: lo, M: hi} }

// Every is a step that sleeps until the next multiple of period after the
// task's start: a periodic task's wait.
func Every(period int64) Step { return Step{Op: OpSleepTill, N: period} }

// Send and Receive use a channel of tokens, like a pipe.
func Send(channel int64) Step { return Step{Op: OpSend, N: channel} }

// Receive takes a token out of a channel, waiting for one if there is none.
func Receive(channel int64) Step { return Step{Op: OpReceive, N: channel} }

// ProgramError says which step of a program is not valid.
type ProgramError struct {
	Task string // its name
	Step int    // index
	Op   Op
	Why  string
}

// Error names task, step and reason.
func (e *ProgramError) Error() string {
	return "sched: program of " + strconv.Quote(e.Task) + ", step " + strconv.Itoa(e.Step) + " (" + e.Op.String() + "): " + e.Why
}

// checkProgram refuses steps that cannot be done.
func (s *Sim) checkProgram(name string, p Program) error {
	for i, step := range p {
		why := ""
		switch {
		case step.Op >= opEnd:
			why = "there is no such operation"
		case step.N < 0 && step.Op != OpNice, step.M < 0:
			why = "a number is negative"
		case step.Op == OpRandom && step.M < step.N:
			why = "the upper limit is below the lower"
		case step.Op == OpSleepTill && step.N == 0:
			why = "the period is 0"
		case step.Op == OpRepeat && step.M >= int64(i):
			why = "it has to go back"
		case (step.Op == OpSend || step.Op == OpReceive) && step.N >= maxChannels:
			why = "channels are numbered below " + strconv.Itoa(maxChannels)
		case step.Op == OpFork && step.N >= int64(len(s.cfg.Specs)):
			why = "there is no such spec"
		case step.Op == OpAttr && step.N >= int64(len(s.cfg.Attrs)):
			why = "there are no such attributes"
		case step.Op == OpAffinity && step.N >= int64(len(s.cfg.Masks)):
			why = "there is no such mask"
		case (step.Op == OpLock || step.Op == OpUnlock) && s.cfg.Locks == nil:
			why = "the simulation has no locks"
		case step.Op == OpNice && (step.N < MinNice || step.N > MaxNice):
			why = "nice values are -20 to 19"
		}
		if why != "" {
			return &ProgramError{Task: name, Step: i, Op: step.Op, Why: why}
		}
	}
	return nil
}

// shared gives the program that an earlier task of the same steps has, or this one:
// 100,000 tasks that do alike read one copy, which stays in the caches.
func (s *Sim) shared(p Program) Program {
	if len(p) > longestShared {
		return p
	}
	h := uint64(len(p))
	for _, st := range p {
		for _, v := range [...]uint64{uint64(st.Op), uint64(st.N), uint64(st.M)} {
			h = (h ^ v) * 0x9e3779b97f4a7c15
			h ^= h >> 32
		}
	}
	if first, ok := s.programs[h]; ok && slices.Equal(first, p) {
		return first
	}
	if s.programs == nil {
		s.programs = map[uint64]Program{}
	}
	s.programs[h] = p
	return p
}

// longestShared is up to how many steps programs are looked for.
const longestShared = 256

// maxChannels bounds the numbers of channels.
const maxChannels = 1 << 16
