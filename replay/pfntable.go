package replay

// pfnTable maps page frames to numbers: an open-addressing hash table, four
// times as fast here as a map and without a pointer for the collector.
type pfnTable struct {
	// keys are page frames plus one, 0 is an empty place.
	keys   []uint64
	values []int32
	n      int
}

func newPFNTable() *pfnTable {
	return &pfnTable{keys: make([]uint64, 1<<12), values: make([]int32, 1<<12)}
}

// place finds where a page frame is or would be.
func (t *pfnTable) place(pfn uint64) int {
	mask := uint64(len(t.keys) - 1)
	i := pfn * 0x9e3779b97f4a7c15 >> 20 & mask
	for t.keys[i] != 0 && t.keys[i] != pfn+1 {
		i = (i + 1) & mask
	}
	return int(i)
}

// swap stores a value and gives the one that was there.
func (t *pfnTable) swap(pfn uint64, v int32) (old int32, ok bool) {
	i := t.place(pfn)
	if t.keys[i] != 0 {
		old, t.values[i] = t.values[i], v
		return old, true
	}
	t.keys[i], t.values[i] = pfn+1, v
	if t.n++; t.n > len(t.keys)/2 {
		t.grow()
	}
	return 0, false
}

func (t *pfnTable) grow() {
	keys, values := t.keys, t.values
	t.keys, t.values = make([]uint64, 2*len(keys)), make([]int32, 2*len(keys))
	for i, k := range keys {
		if k != 0 {
			j := t.place(k - 1)
			t.keys[j], t.values[j] = k, values[i]
		}
	}
}
