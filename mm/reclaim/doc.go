// Package reclaim has the decisions of page reclaim: how much of which list is
// scanned, when active pages are made inactive, which refaults are of the working
// set, and the map of swap slots.
//
// It mirrors get_scan_count, inactive_is_low, lru_note_cost (mm/vmscan.c,
// mm/swap.c), mm/workingset.c and the counts of mm/swapfile.c of Linux 6.1.
//
//	Balance    sizes of the four lists, costs, swappiness, priority  ->  pages to scan
//	Costs      what bringing back anonymous and file pages has cost lately
//	Clock      age of evictions: refault distance against the working set's size
//	SwapMap    users of each swap slot
//
// Units are pages. Lists are numbered as the kernel does: inactive and active
// anonymous, inactive and active file.
//
// Left out: the lists themselves and references to pages, which no capture tells;
// so nothing here is yet plugged into the page allocator's slow path.
package reclaim
