package reclaim

import "fmt"

// swapMapMax is how many users a slot's count holds (SWAP_MAP_MAX); the kernel
// goes on in a second page of counts, which here is the same number.
const swapMapMax = 1<<31 - 1

// SwapError is a wrong use of a swap map. Errno is the kernel's; Report its
// message, if it has one.
type SwapError struct {
	Errno, Report string
	Slot          uint32
}

func (e *SwapError) Error() string {
	return fmt.Sprintf("reclaim: swap slot %d: %s: %s", e.Slot, e.Report, e.Errno)
}

// SwapMap counts the users of each slot of a swap area. Slot 0 is the header's.
type SwapMap struct {
	users []uint32
	// next is where the search for a free slot goes on.
	next uint32
	used int
}

// maxSlots bounds a swap area.
const maxSlots = 1 << 30

// NewSwapMap makes a map of an area of so many pages, its header included:
// EINVAL if there is no room for a page.
func NewSwapMap(pages uint32) (*SwapMap, error) {
	if pages < 2 || pages > maxSlots {
		return nil, &SwapError{"EINVAL", "empty swap-file", pages}
	}
	return &SwapMap{users: make([]uint32, pages), next: 1}, nil
}

// Free is how many slots are free.
func (m *SwapMap) Free() int { return len(m.users) - 1 - m.used }

// Users is a slot's count.
func (m *SwapMap) Users(slot uint32) uint32 {
	if !m.has(slot) {
		return 0
	}
	return m.users[slot]
}

func (m *SwapMap) has(slot uint32) bool { return slot > 0 && int(slot) < len(m.users) }

// Alloc takes the next free slot, with one user: ENOSPC if there is none.
func (m *SwapMap) Alloc() (uint32, error) {
	if m.Free() == 0 {
		return 0, &SwapError{"ENOSPC", "swap is full", 0}
	}
	for m.users[m.next] != 0 {
		m.next = m.after(m.next)
	}
	slot := m.next
	m.users[slot] = 1
	m.used++
	m.next = m.after(slot)
	return slot, nil
}

func (m *SwapMap) after(slot uint32) uint32 {
	if int(slot) == len(m.users)-1 {
		return 1
	}
	return slot + 1
}

// Dup adds a user, as fork does (swap_duplicate): EINVAL for a slot outside of the
// area, ENOENT for a free one.
func (m *SwapMap) Dup(slot uint32) error {
	if err := m.check(slot); err != nil {
		return err
	}
	if m.users[slot] == swapMapMax {
		return &SwapError{"ENOMEM", "too many users", slot}
	}
	m.users[slot]++
	return nil
}

// Put takes a user away (swap_free). The last one frees the slot.
func (m *SwapMap) Put(slot uint32) error {
	if err := m.check(slot); err != nil {
		return err
	}
	if m.users[slot]--; m.users[slot] == 0 {
		m.used--
	}
	return nil
}

func (m *SwapMap) check(slot uint32) error {
	if !m.has(slot) {
		return &SwapError{"EINVAL", "Bad swap offset entry", slot}
	}
	if m.users[slot] == 0 {
		return &SwapError{"ENOENT", "Unused swap offset entry", slot}
	}
	return nil
}

// Check proves that the count of used slots is right.
func (m *SwapMap) Check() error {
	used := 0
	for _, n := range m.users {
		if n > 0 {
			used++
		}
	}
	if used != m.used || m.users[0] != 0 || m.next == 0 || int(m.next) >= len(m.users) {
		return fmt.Errorf("reclaim: %d slots in use, counted %d; next %d", used, m.used, m.next)
	}
	return nil
}
