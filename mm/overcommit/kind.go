package overcommit

import (
	"slices"
	"strconv"
	"strings"
)

// Kind is a way to ask for address space.
type Kind struct {
	// Call is how.
	Call Call
	// Shared, File, ReadOnly, NoReserve are the mapping's.
	Shared, File, ReadOnly, NoReserve bool
	// From is what an mremap starts from, in pages.
	From int64
}

// Call is a system call, or a fault.
type Call uint8

// Calls.
const (
	Mmap Call = iota
	Brk
	// Mprotect makes a private read-only mapping writable.
	Mprotect
	// Mremap grows a private writable mapping.
	Mremap
	// Stack grows a stack.
	Stack
)

// Charge is how many of a request's pages are charged in a mode.
func (k Kind) Charge(pages int64, m Mode) int64 {
	noReserve := k.NoReserve && m != Never
	switch k.Call {
	case Brk, Stack:
		return pages
	case Mremap:
		pages -= min(k.From, pages)
	case Mprotect:
		if k.Shared || noReserve {
			return 0
		}
		return pages
	}
	switch {
	case noReserve, k.Shared && k.File, !k.Shared && k.ReadOnly:
		return 0
	}
	return pages
}

var calls = map[string]Call{"brk": Brk, "stack": Stack}

// ParseKind reads a kind: brk, stack, anon_private_rw, anon_shared_ro_noreserve,
// file_shared_rw, mprotect_ro_to_rw, mremap_grow_from_1page, ...
func ParseKind(text string) (Kind, error) {
	if call, ok := calls[text]; ok {
		return Kind{Call: call}, nil
	}
	if rest, ok := strings.CutPrefix(text, "mremap_grow_from_"); ok {
		n, err := strconv.ParseInt(strings.TrimRight(rest, "pages"), 10, 32)
		if err != nil || n < 0 {
			return Kind{}, invalid("kind %q", text)
		}
		return Kind{Call: Mremap, From: n}, nil
	}
	words := strings.Split(text, "_")
	if text == "mprotect_ro_to_rw" || text == "mprotect_ro_to_rw_noreserve" {
		return Kind{Call: Mprotect, NoReserve: len(words) > 4}, nil
	}
	if len(words) == 4 && words[3] != "noreserve" || len(words) < 3 || len(words) > 4 ||
		!slices.Contains([]string{"anon", "file"}, words[0]) || !slices.Contains([]string{"private", "shared"}, words[1]) ||
		!slices.Contains([]string{"ro", "rw"}, words[2]) {
		return Kind{}, invalid("kind %q", text)
	}
	return Kind{File: words[0] == "file", Shared: words[1] == "shared", ReadOnly: words[2] == "ro", NoReserve: len(words) == 4}, nil
}

// Request asks for a size in bytes: EINVAL if it is not positive, ENOMEM if it is
// refused.
func (a *Accounting) Request(k Kind, bytes int64, who Caller) error {
	if bytes <= 0 {
		return invalid("%d bytes", bytes)
	}
	pages := k.Charge(1+(bytes-1)/a.config.pageSize(), a.config.Mode)
	if pages == 0 {
		return nil // the kernel does not ask, even where too much is promised already
	}
	return a.Charge(pages, who)
}
