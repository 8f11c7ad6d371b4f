package reclaim

// List is an LRU list.
type List uint8

// Lists, as enum lru_list numbers them.
const (
	InactiveAnon List = iota
	ActiveAnon
	InactiveFile
	ActiveFile
	NumLists
)

// swapClusterMax is how many pages reclaim takes at least (SWAP_CLUSTER_MAX).
const swapClusterMax = 32

// DefPriority is where reclaim starts: lists are scanned by size >> priority.
const DefPriority = 12

// MaxSwappiness is vm.swappiness's greatest value.
const MaxSwappiness = 200

// Balance is what decides how reclaim divides its scanning.
type Balance struct {
	// Swappiness is vm.swappiness, 0 to 200: the cost of swapping against
	// reading files.
	Swappiness int64
	// Priority counts down from [DefPriority] to 0.
	Priority uint
	Costs    Costs
	// CanSwap: anonymous pages have somewhere to go.
	CanSwap bool
	// Cgroup: a cgroup's limit is the cause, not the machine's.
	Cgroup bool
	// FileIsTiny: nearly no file pages are left. CacheTrim: there are plenty
	// of inactive ones.
	FileIsTiny, CacheTrim bool
	// Size is the cgroup's, Protected how many pages of it are protected
	// (memory.low or memory.min in effect).
	Size, Protected int64
}

// Shares gives the parts of scanning that go to anonymous and to file pages;
// equal means by size alone, without parts.
func (b *Balance) Shares() (anon, file int64, equal bool) {
	switch {
	case !b.CanSwap, b.Cgroup && b.Swappiness == 0:
		return 0, 1, false
	case b.Priority == 0 && b.Swappiness != 0:
		return 1, 1, true
	case b.FileIsTiny:
		return 1, 0, false
	case b.CacheTrim:
		return 0, 1, false
	}
	total := b.Costs.Anon + b.Costs.File
	anonCost, fileCost := total+b.Costs.Anon, total+b.Costs.File
	total = anonCost + fileCost
	return b.Swappiness * (total + 1) / (anonCost + 1), (MaxSwappiness - b.Swappiness) * (total + 1) / (fileCost + 1), false
}

// Scan gives how many pages of each list are to be scanned (get_scan_count).
func (b *Balance) Scan(sizes [NumLists]int64) [NumLists]int64 {
	anon, file, equal := b.Shares()
	var out [NumLists]int64
	for l := range sizes {
		n := b.unprotected(sizes[l]) >> b.Priority
		part := anon
		if List(l) >= InactiveFile {
			part = file
		}
		if !equal {
			n = n * part / max(anon+file, 1)
		}
		out[l] = n
	}
	return out
}

// unprotected is a list's size less the protected part of its cgroup.
func (b *Balance) unprotected(size int64) int64 {
	if b.Protected == 0 {
		return size
	}
	return max(size-size*b.Protected/(max(b.Size, b.Protected)+1), swapClusterMax)
}

// InactiveIsLow says whether active pages have to be made inactive: there are
// fewer inactive than one in sqrt(10 * GiB) of the active (inactive_is_low).
func InactiveIsLow(inactive, active, pageSize int64) bool {
	ratio := int64(1)
	if gb := (inactive + active) / (1 << 30 / pageSize); gb > 0 {
		ratio = root(10 * gb)
	}
	return inactive*ratio < active
}

// root is the square root, rounded down.
func root(n int64) int64 {
	r := int64(0)
	for bit := int64(1) << 31; bit > 0; bit >>= 1 {
		if t := r + bit; t <= n/t {
			r = t
		}
	}
	return r
}

// Costs are what reclaim of anonymous and file pages has cost lately
// (lruvec.anon_cost, file_cost).
type Costs struct{ Anon, File int64 }

// Note adds a cost of so many pages, and halves both once they are above a
// quarter of the lists' size (lru_note_cost).
func (c *Costs) Note(file bool, pages, lruSize int64) {
	if file {
		c.File += pages
	} else {
		c.Anon += pages
	}
	if c.Anon+c.File > lruSize/4 {
		c.Anon /= 2
		c.File /= 2
	}
}
