package lkmm

import (
	"fmt"
	"strings"
)

// Axiom names the parts of the model that can be left out one by one, to see
// what each of them forbids.
type Axiom uint16

// The axioms of the Linux-kernel memory model, and how they are called in
// tools/memory-model/Documentation/explanation.txt.
const (
	Coherence      Axiom = 1 << iota // "sequential consistency per variable"
	Atomicity                        // "atomic updates"
	HappensBefore                    // "happens-before"
	Propagation                      // "propagation"
	RCU                              // "RCU"
	PlainCoherence                   // "plain-coherence"
	numAxioms      = iota
	allAxioms      = 1<<numAxioms - 1
)

var axiomNames = [numAxioms]string{
	"coherence", "atomicity", "happens-before", "propagation", "rcu", "plain-coherence",
}

// String names the axioms of the set, joined by "+".
func (a Axiom) String() string {
	s := ""
	for i, name := range axiomNames {
		if a&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += "+"
		}
		s += name
	}
	return s
}

// ParseAxiom finds an axiom by its name.
func ParseAxiom(name string) (Axiom, error) {
	for i, n := range axiomNames {
		if n == name {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("lkmm: no axiom is called %q: %s", name, strings.Join(axiomNames[:], ", "))
}

// Model is a version of the memory model. Versions differ in few points, each
// a field.
type Model struct {
	Name string
	// SrcuByNesting: an srcu_read_unlock() matches a lock by nesting; else by
	// the value that the lock returned, carried through registers and memory.
	SrcuByNesting bool
	// CarryDep: dependencies also pass through a variable that a thread writes
	// and reads back.
	CarryDep bool
	// RmwSequence: release ordering extends over a chain of read-modify-writes
	// of the released variable.
	RmwSequence bool
	// AddrReadsOnly: an address dependency to a read orders it; one to a write
	// does so only as a dependency to a write.
	AddrReadsOnly bool
	// LocalFence: of the fence relation only pairs of the same thread are in
	// the preserved program order.
	LocalFence bool
	// UnlockLockDirect: smp_mb__after_unlock_lock() orders after the unlock
	// that the lock read from (or any unlock of the same thread), not after
	// every earlier unlock of the lock.
	UnlockLockDirect bool
}

// The models that the kernel shipped, by the first release looked at here.
var (
	Linux6_1 = Model{Name: "6.1", SrcuByNesting: true}

	Linux6_12 = Model{
		Name: "6.12", CarryDep: true, RmwSequence: true, AddrReadsOnly: true,
		LocalFence: true, UnlockLockDirect: true,
	}
)

// Models are the models in order of age.
var Models = []*Model{&Linux6_1, &Linux6_12}
