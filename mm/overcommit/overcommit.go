package overcommit

import (
	"fmt"
	"math"
)

// Mode is vm.overcommit_memory.
type Mode uint8

// Modes.
const (
	// Guess refuses only what could never fit (0, the default).
	Guess Mode = iota
	// Always refuses nothing (1).
	Always
	// Never keeps to the commit limit (2).
	Never
)

var modeNames = [...]string{"guess", "always", "never"}

// String is the mode in the kernel's word.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// Config is a machine and its sysctls.
type Config struct {
	// PageSize in bytes; 0 means 4096.
	PageSize int64
	// RAMPages are the managed pages (MemTotal), HugetlbPages those of them
	// set aside as huge pages, SwapPages all swap.
	RAMPages, HugetlbPages, SwapPages int64
	Mode                              Mode
	// RatioPercent is vm.overcommit_ratio, Kbytes vm.overcommit_kbytes: if
	// not 0, it counts instead of the ratio.
	RatioPercent, Kbytes int64
	// AdminReserveKB and UserReserveKB are vm.admin_reserve_kbytes and
	// vm.user_reserve_kbytes.
	AdminReserveKB, UserReserveKB int64
	// CPUs is how many count for themselves up to [Config.Batch] pages, which
	// mode 2 does not see; a kernel for several CPUs does so with one, too. 0:
	// nobody does.
	CPUs int
}

// maxCPUs bounds Config.CPUs.
const maxCPUs = 1 << 13

// maxPages bounds figures, so that no sum of them overflows.
const maxPages = math.MaxInt64 / 4096

// Error is a refusal. Errno is the kernel's.
type Error struct {
	Errno string
	// What was asked for or set.
	What string
}

func (e *Error) Error() string { return "overcommit: " + e.What + ": " + e.Errno }

// Number is the errno's number.
func (e *Error) Number() int {
	if e.Errno == "ENOMEM" {
		return 12
	}
	return 22 // EINVAL
}

func invalid(format string, args ...any) error {
	return &Error{"EINVAL", fmt.Sprintf(format, args...)}
}

// Validate says whether the kernel could have these values: EINVAL else.
func (c *Config) Validate() error {
	if p := c.pageSize(); p < 1024 || p > 1<<20 || p&(p-1) != 0 {
		return invalid("page size %d", c.PageSize)
	}
	if c.Mode > Never {
		return invalid("vm.overcommit_memory = %d", uint8(c.Mode))
	}
	if c.RatioPercent < 0 || c.RatioPercent > math.MaxInt32 {
		return invalid("vm.overcommit_ratio = %d", c.RatioPercent)
	}
	for _, n := range []int64{c.RAMPages, c.HugetlbPages, c.SwapPages, c.Kbytes, c.AdminReserveKB, c.UserReserveKB} {
		if n < 0 || n > maxPages>>10 {
			return invalid("%d pages or kB", n)
		}
	}
	if c.HugetlbPages > c.RAMPages {
		return invalid("%d huge pages' pages of %d", c.HugetlbPages, c.RAMPages)
	}
	if c.CPUs < 0 || c.CPUs > maxCPUs {
		return invalid("%d CPUs", c.CPUs)
	}
	// The product of the ratio has to stay a number.
	if c.RAMPages != 0 && c.RatioPercent > math.MaxInt64/c.RAMPages {
		return invalid("vm.overcommit_ratio = %d", c.RatioPercent)
	}
	return nil
}

func (c *Config) pageSize() int64 {
	if c.PageSize == 0 {
		return 4096
	}
	return c.PageSize
}

func (c *Config) pages(kb int64) int64 { return kb << 10 / c.pageSize() }

// CommitLimit is what mode 2 allows in all, in pages (vm_commit_limit).
func (c *Config) CommitLimit() int64 {
	if c.Kbytes != 0 {
		return c.pages(c.Kbytes) + c.SwapPages
	}
	return (c.RAMPages-c.HugetlbPages)*c.RatioPercent/100 + c.SwapPages
}

// Caller is who asks.
type Caller struct {
	// TotalVM is the size of its address space before, in pages.
	TotalVM int64
	// SysAdmin: it has CAP_SYS_ADMIN.
	SysAdmin bool
	// Kernel: nobody's address space (a kernel thread's shared memory).
	Kernel bool
	// CPU it runs on, below Config.CPUs if that is not 0.
	CPU int
}

// Allowance is what Committed_AS has to stay below for a caller, in pages. It
// matters in mode 2 only, and can be negative.
func (c *Config) Allowance(who Caller) int64 {
	n := c.CommitLimit()
	if !who.SysAdmin {
		n -= c.pages(c.AdminReserveKB)
	}
	if !who.Kernel {
		n -= min(who.TotalVM/32, c.pages(c.UserReserveKB))
	}
	return n
}

// Accounting is a machine's promises.
type Accounting struct {
	config    Config
	committed int64
	cpus      counters
}

// New makes a machine that has promised some pages already, of which no CPU has
// any for itself. The error is an [Error] with EINVAL.
func New(c Config, committed int64) (*Accounting, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if committed < 0 || committed > maxPages {
		return nil, invalid("Committed_AS of %d pages", committed)
	}
	a := &Accounting{config: c, committed: committed}
	a.cpus.set(&a.config)
	return a, nil
}

// Config is the machine and its sysctls.
func (a *Accounting) Config() Config { return a.config }

// Set changes the sysctls, or the machine (swapon, huge pages). Where the mode
// becomes [Never], all CPUs hand over what they have for themselves
// (overcommit_policy_handler).
func (a *Accounting) Set(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Mode == Never && a.config.Mode != Never {
		a.cpus.sync()
	}
	a.config = c
	a.cpus.set(&a.config)
	return nil
}

// Committed is Committed_AS, in pages.
func (a *Accounting) Committed() int64 { return a.committed }

// Seen is what mode 2 takes for Committed_AS: without what CPUs have for
// themselves (percpu_counter_read_positive), in pages.
func (a *Accounting) Seen() int64 { return max(a.committed-a.cpus.hidden, 0) }

// Charge asks for pages (security_vm_enough_memory_mm). The error is an [Error]
// with ENOMEM; then nothing is charged.
func (a *Accounting) Charge(pages int64, who Caller) error {
	if pages < 0 || who.TotalVM < 0 || !a.cpus.has(who.CPU) {
		return invalid("%d pages for an address space of %d on CPU %d", pages, who.TotalVM, who.CPU)
	}
	if pages > maxPages-a.committed {
		return a.refuse(pages)
	}
	// The kernel charges first, and takes it back if that is too much.
	a.add(pages, who.CPU)
	if !a.enough(pages, who) {
		a.add(-pages, who.CPU)
		return a.refuse(pages)
	}
	return nil
}

func (a *Accounting) refuse(pages int64) error {
	return &Error{"ENOMEM", fmt.Sprintf("%d pages, %d committed, mode %s", pages, a.committed, a.config.Mode)}
}

func (a *Accounting) add(pages int64, cpu int) {
	a.committed += pages
	a.cpus.add(pages, cpu)
}

// enough says whether a request may stay, which is charged already.
func (a *Accounting) enough(pages int64, who Caller) bool {
	switch a.config.Mode {
	case Always:
		return true
	case Guess:
		return pages <= a.config.RAMPages+a.config.SwapPages
	}
	return a.Seen() < a.config.Allowance(who)
}

// Uncharge gives pages back (vm_unacct_memory) on CPU 0: EINVAL if more than
// were promised.
func (a *Accounting) Uncharge(pages int64) error { return a.UnchargeOn(0, pages) }

// UnchargeOn is Uncharge on a CPU; EINVAL also if there is no such CPU.
func (a *Accounting) UnchargeOn(cpu int, pages int64) error {
	if pages < 0 || pages > a.committed || !a.cpus.has(cpu) {
		return invalid("giving back %d pages of %d on CPU %d", pages, a.committed, cpu)
	}
	a.add(-pages, cpu)
	return nil
}

// Check proves the invariants.
func (a *Accounting) Check() error {
	if a.committed < 0 || a.committed > maxPages {
		return fmt.Errorf("overcommit: %d pages committed", a.committed)
	}
	if err := a.cpus.check(); err != nil {
		return err
	}
	return a.config.Validate()
}

// Meminfo writes the two lines of /proc/meminfo.
func (a *Accounting) Meminfo() string {
	kb := a.config.pageSize() >> 10
	return fmt.Sprintf("CommitLimit:    %8d kB\nCommitted_AS:   %8d kB\n", a.config.CommitLimit()*kb, a.committed*kb)
}
