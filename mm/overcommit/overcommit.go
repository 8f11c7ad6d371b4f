// Package overcommit is the kernel's decision whether a process may have more
// address space (__vm_enough_memory): vm.overcommit_memory and what belongs to
// it.
//
//   - Mode 1 (always) allows everything.
//   - Mode 0 (guess) refuses a request that is greater by itself than RAM and swap
//     together; what is committed already does not count.
//   - Mode 2 (never) allows a request if all that is committed, the request
//     included, stays below the limit: vm.overcommit_ratio per cent of the RAM
//     that is not in huge pages, or vm.overcommit_kbytes, and all swap; less
//     vm.admin_reserve_kbytes for those without CAP_SYS_ADMIN, and less a part
//     of the process's own size, at most vm.user_reserve_kbytes, for everyone.
//
// Not every mapping is charged: private read-only ones are not until mprotect
// makes them writable, and MAP_NORESERVE is heeded but in mode 2. Sizes are
// rounded up to pages.
package overcommit

import "fmt"

// Mode is vm.overcommit_memory.
type Mode uint8

// The modes.
const (
	Guess  Mode = 0
	Always Mode = 1
	Never  Mode = 2
)

// PageSize is the page size of the machines that the package knows, in bytes.
const PageSize = 4096

// System is a machine's state. Sizes are kB, as in the files they come from.
type System struct {
	Mode         Mode
	Ratio        uint64 // vm.overcommit_ratio, per cent
	KBytes       uint64 // vm.overcommit_kbytes; not 0: counts instead of Ratio
	AdminReserve uint64 // vm.admin_reserve_kbytes
	UserReserve  uint64 // vm.user_reserve_kbytes
	MemTotal     uint64 // MemTotal of /proc/meminfo
	SwapTotal    uint64 // SwapTotal
	HugeTLB      uint64 // memory in huge pages: HugePages_Total * Hugepagesize
	Committed    uint64 // Committed_AS
}

// Kind is what a request is.
type Kind uint8

// The kinds of requests.
const (
	AnonPrivate          Kind = iota // mmap, private and writable
	AnonPrivateNoReserve             // with MAP_NORESERVE
	AnonPrivateReadOnly              // mmap, private, not writable
	AnonShared                       // mmap, shared
	AnonSharedNoReserve              // with MAP_NORESERVE
	Brk                              // brk
	MakeWritable                     // mprotect of a private read-only mapping
	Grow                             // mremap: the size is the new one, From the old
)

var kindNames = [...]string{"anon_private_rw", "anon_private_rw_noreserve", "anon_private_ro", "anon_shared_rw", "anon_shared_rw_noreserve",
	"brk", "mprotect_ro_to_rw", "mremap_grow_from_1page"}

// String is the kind's name in tables.
func (k Kind) String() string { return kindNames[min(int(k), len(kindNames)-1)] }

// KindByName finds a kind by its name in tables.
func KindByName(name string) (Kind, bool) {
	for i, n := range kindNames {
		if n == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// Request is what a process asks for.
type Request struct {
	Kind     Kind
	Bytes    uint64
	From     uint64 // Grow: old size in bytes
	TotalVM  uint64 // the process's pages of address space
	SysAdmin bool   // it has CAP_SYS_ADMIN
}

// Error is a refused request: ENOMEM.
type Error struct {
	Pages   uint64 // asked for
	Allowed int64  // pages that may be committed in all (mode 2), or RAM and swap
}

// Error names the kernel's errno and both numbers.
func (e *Error) Error() string {
	return fmt.Sprintf("overcommit: ENOMEM: %d pages asked for, %d pages allowed", e.Pages, e.Allowed)
}

// Errno is ENOMEM's number.
func (e *Error) Errno() int { return 12 }

func pages(bytes uint64) uint64 {
	if bytes > 1<<63 {
		return 1 << 51
	}
	return (bytes + PageSize - 1) / PageSize
}

// Limit is CommitLimit of /proc/meminfo in pages (vm_commit_limit).
func (s *System) Limit() uint64 {
	ram := s.MemTotal / 4
	limit := s.KBytes / 4
	if s.KBytes == 0 {
		limit = (ram - min(ram, s.HugeTLB/4)) * s.Ratio / 100
	}
	return limit + s.SwapTotal/4
}

// Charge is how many pages a request commits, 0 for a mapping that is not
// charged.
func (s *System) Charge(r *Request) uint64 {
	switch r.Kind {
	case AnonPrivateReadOnly:
		return 0
	case AnonPrivateNoReserve, AnonSharedNoReserve:
		if s.Mode != Never {
			return 0
		}
	case Grow:
		return pages(r.Bytes) - min(pages(r.Bytes), pages(r.From))
	}
	return pages(r.Bytes)
}

// Allow decides about a request and, if it is allowed, commits it. The error
// is an [*Error].
func (s *System) Allow(r *Request) error {
	n := s.Charge(r)
	if n == 0 {
		return nil
	}
	if err := s.enough(n, r); err != nil {
		return err
	}
	s.Committed += n * (PageSize / 1024)
	return nil
}

// enough is __vm_enough_memory.
func (s *System) enough(n uint64, r *Request) error {
	switch s.Mode {
	case Always:
		return nil
	case Guess:
		if all := s.MemTotal/4 + s.SwapTotal/4; n > all {
			return &Error{Pages: n, Allowed: int64(all)}
		}
		return nil
	}
	allowed := int64(s.Limit())
	if !r.SysAdmin {
		allowed -= int64(s.AdminReserve / 4)
	}
	allowed -= int64(min(r.TotalVM/32, s.UserReserve/4))
	if int64(s.Committed/4+n) < allowed {
		return nil
	}
	return &Error{Pages: n, Allowed: allowed}
}
