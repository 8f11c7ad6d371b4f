// Package kernsim is the root of a library that simulates parts of the Linux
// kernel in userspace and gives the same answers as the kernel. It has no code
// of its own; this page says which package to take.
//
// # Which package
//
//	I want to                                               take
//	allocate pages as Linux would, see its free lists       buddy
//	allocate objects, look at caches, find misuse           slab
//	know whom the OOM killer kills, what overcommit allows  mm/oom, mm/overcommit
//	run tasks under CFS or EEVDF                            sched, sched/rtapp, sched/recorded
//	check the order of locks                                sync/lockdep
//	see who waits for a lock and who is boosted             sync/lock
//	ask whether a memory barrier is missing                 sync/lkmm
//	know what an atomic operation or refcount_t returns     sync/refs
//	check a trace for RCU's guarantees                      sync/rcu
//	read or write a kernel's trace text                     trace
//	read or write trace.dat, Perfetto, CSV                  convert
//	compare a model with a real kernel                      replay, captures
//	draw what happened                                      viz
//
// The models (trace, buddy, slab, mm, sched, sync) import only the standard library
// and each other. A model is a plain value without goroutines, clocks or hidden
// randomness: calls go in, values come out, and the same calls give the same
// values everywhere. Kernel versions are profiles, values such as
// buddy.Linux6_1. Misuse is an error that names the kernel's own report and
// changes nothing. Check proves a model's invariants.
//
// # Where to begin
//
// The README's example allocates pages in ten lines. Package buddy's overview
// explains the page allocator, package sched's the scheduler; each names the
// kernel functions that it mirrors. Programs to start from are in examples,
// notebooks in examples/notebooks. GLOSSARY.md explains the words, BOOK.md in
// examples maps the demos of the book "Linux Kernel Programming" to what is
// here, DEVIATIONS.md lists every known difference from a kernel.
package kernsim
