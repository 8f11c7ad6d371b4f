// Package explore runs small concurrent programs under all schedules, or under
// many random ones, and finds those that break what the program asserts.
//
// # Idea
//
// A [Program] is threads and interrupt handlers on simulated CPUs, made of steps
// that each touch shared memory at most once. A schedule is the order in which they
// take their steps. [Exhaustive] visits every state that any schedule reaches, the
// nearest first, so that the failing schedule that it returns is the shortest;
// [Random] draws schedules, uniformly or with a few changes of priority (PCT), from
// a seed. Either way a failure is a list of choices that [Replay] repeats and
// prints.
//
//	var next, owner                       # a ticket lock
//	thread a ; thread b
//	  me = fetch_add next 1
//	  await owner == me
//	  enter cs                            # mutual exclusion is checked here
//	  leave cs
//	  owner = owner + 1 ...
//
// # Memory
//
// With "memory sc" a store is seen by all at once. With "memory weak" a thread's
// plain stores wait in its buffer and reach memory in any order, those to one
// variable in theirs; mb, wmb, store_release and atomic operations wait for them. So
// a missing barrier between two stores, or between a store and a load, is found; a
// missing one between two loads is not: that is package lkmm's subject.
//
// # Reduction
//
// A step that touches only the thread's own registers commutes with all steps of
// others. Where a thread has such a step, only it is followed, unless that leads
// back to a state seen before. All orders of such steps reach the same states, so
// nothing is lost. With Options.Persistent this goes further: a thread's next step may
// go first if nothing that the others may still do touches what it touches. [Traces]
// adds sleep sets: one schedule of each class of those that differ only in the order of
// steps that commute.
//
// # What is checked
//
// assert; enter and leave (mutual exclusion); deadlock: somebody is not done and
// nobody can go on, which includes a lost wake-up; lock misuse (unlock by another,
// a sleep with interrupts off); use and free of objects (early free, double free).
package explore
