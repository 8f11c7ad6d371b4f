package convert

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// sort orders the symbols by address; those of one address stay in order.
func (s *Symbols) sort() {
	at := make([]int, len(s.addr))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int {
		switch {
		case s.addr[a] < s.addr[b]:
			return -1
		case s.addr[a] > s.addr[b]:
			return 1
		}
		return 0
	})
	addr, name := make([]uint64, len(at)), make([]string, len(at))
	for i, j := range at {
		addr[i], name[i] = s.addr[j], s.name[j]
	}
	s.addr, s.name = addr, name
}

// Append writes an address as %pS does, "symbol+offset/size [module]", or
// without the offset; as a hexadecimal number if there is no symbol for it.
func (s *Symbols) Append(b []byte, addr uint64, offset bool) []byte {
	i := -1
	if s != nil {
		i = sort.Search(len(s.addr), func(i int) bool { return s.addr[i] > addr }) - 1
	}
	if i < 0 {
		return fmt.Appendf(b, "0x%x", addr)
	}
	name, module, hasModule := strings.Cut(s.name[i], " ")
	b = append(b, name...)
	if offset {
		b = fmt.Appendf(b, "+0x%x", addr-s.addr[i])
		next := i + 1
		for next < len(s.addr) && s.addr[next] == s.addr[i] {
			next++
		}
		if next < len(s.addr) {
			b = fmt.Appendf(b, "/0x%x", s.addr[next]-s.addr[i])
		}
	}
	if hasModule {
		b = append(append(b, ' '), module...)
	}
	return b
}
