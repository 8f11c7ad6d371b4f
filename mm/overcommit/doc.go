// Package overcommit is the kernel's accounting of memory that was promised:
// may a process have this much address space that it could write to?
//
// It mirrors __vm_enough_memory, vm_commit_limit and accountable_mapping of
// Linux 6.1 (mm/util.c, mm/mmap.c) and shmem's charge at creation.
//
// # Rules, in pages
//
// Sizes are rounded up to whole pages. What a request charges ([Kind.Charge]):
//
//	private writable mapping      all; with MAP_NORESERVE nothing in modes 0 and 1
//	private read-only mapping     nothing
//	shared anonymous memory       all; with MAP_NORESERVE nothing in modes 0 and 1 (its pages are charged when touched)
//	shared file mapping           nothing
//	brk, stack growth             all
//	mprotect to writable          all of a private mapping that was not charged
//	mremap of a charged mapping   the growth
//
// Mode 2 takes no notice of MAP_NORESERVE.
//
// May it be charged ([Accounting.Charge])?
//
//	mode 1 (always)   yes
//	mode 0 (guess)    unless this request alone is more than RAM + swap
//	mode 2 (never)    if Committed_AS with it stays below
//	                  CommitLimit - admin reserve (without CAP_SYS_ADMIN) - min(total_vm/32, user reserve)
//
// CommitLimit is overcommit_kbytes, or overcommit_ratio percent of RAM without
// huge pages, plus swap. Committed_AS counts in all modes.
//
// Refused is ENOMEM, and nothing is charged. A request that charges nothing is
// never refused.
//
// Each CPU counts for itself up to [Config.Batch] pages before it adds them to
// the Committed_AS that mode 2 looks at (percpu_counter), also on a machine with
// one CPU; /proc/meminfo adds up all. So small requests may go past the limit, or
// be refused before it. With Config.CPUs the model counts in the same way; where
// a table is answered, [Sequence] carries it from row to row.
//
// Left out: limits other than overcommit (RLIMIT_AS, the map count) are the
// address space's.
package overcommit
