// Package trace reads and writes the texts in which Linux kernels tell what
// their allocators and schedulers did: the trace text of tracefs and of the
// tools on top of it, and the "ksnap" snapshots of the allocators' lists that
// frame a capture. Its [Event] is also what kernsim's models emit, so that a
// simulated run can be written as a trace of a real kernel.
package trace
