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
}

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
}

// New makes a machine that has promised some pages already. The error is an
// [Error] with EINVAL.
func New(c Config, committed int64) (*Accounting, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if committed < 0 || committed > maxPages {
		return nil, invalid("Committed_AS of %d pages", committed)
	}
	return &Accounting{c, committed}, nil
}

// Config is the machine and its sysctls.
func (a *Accounting) Config() Config { return a.config }

// Set changes the sysctls, or the machine (swapon, huge pages).
func (a *Accounting) Set(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	a.config = c
	return nil
}

// Committed is Committed_AS, in pages.
func (a *Accounting) Committed() int64 { return a.committed }

// Charge asks for pages (security_vm_enough_memory_mm). The error is an [Error]
// with ENOMEM; then nothing is charged.
func (a *Accounting) Charge(pages int64, who Caller) error {
	if pages < 0 || who.TotalVM < 0 {
		return invalid("%d pages for an address space of %d", pages, who.TotalVM)
	}
	if pages > maxPages-a.committed || !a.enough(pages, who) {
		return &Error{"ENOMEM", fmt.Sprintf("%d pages, %d committed, mode %s", pages, a.committed, a.config.Mode)}
	}
	a.committed += pages
	return nil
}

func (a *Accounting) enough(pages int64, who Caller) bool {
	switch a.config.Mode {
	case Always:
		return true
	case Guess:
		return pages <= a.config.RAMPages+a.config.SwapPages
	}
	return a.committed+pages < a.config.Allowance(who)
}

// Uncharge gives pages back (vm_unacct_memory): EINVAL if more than were promised.
func (a *Accounting) Uncharge(pages int64) error {
	if pages < 0 || pages > a.committed {
		return invalid("giving back %d pages of %d", pages, a.committed)
	}
	a.committed -= pages
	return nil
}

// Check proves the invariants.
func (a *Accounting) Check() error {
	if a.committed < 0 || a.committed > maxPages {
		return fmt.Errorf("overcommit: %d pages committed", a.committed)
	}
	return a.config.Validate()
}

// Meminfo writes the two lines of /proc/meminfo.
func (a *Accounting) Meminfo() string {
	kb := a.config.pageSize() >> 10
	return fmt.Sprintf("CommitLimit:    %8d kB\nCommitted_AS:   %8d kB\n", a.config.CommitLimit()*kb, a.committed*kb)
}
