package bench

import "github.com/kernsim/kernsim/buddy"

// page is the commonest size: one page.
var page = []OrderWeight{{0, 1}}

// Mixes are the generated workloads: shapes chosen for contrast. No figure in
// them is measured on a real machine.
func Mixes() []Mix {
	return []Mix{server(), build(), database(), board()}
}

// server: user memory and page cache, slab pages that cannot be moved,
// reclaimable slab, network buffers; day and night, and what stays grows old.
func server() Mix {
	kinds := func(user, files float64) []BlockKind {
		return []BlockKind{
			{"user memory", user, buddy.GFPHighUserMovable, page, Lifetime{Mean: 30000, Tail: 1.5}},
			{"huge pages", user / 400, buddy.GFPTransHugeLight, []OrderWeight{{9, 1}}, Lifetime{Mean: 60000}},
			{"page cache", files, buddy.GFPHighUserMovable, []OrderWeight{{0, 8}, {2, 1}, {4, 0.2}}, Lifetime{Mean: 200000}},
			{"slabs", 8, buddy.GFPKernel, []OrderWeight{{0, 6}, {1, 2}, {2, 1}, {3, 1}}, Lifetime{Mean: 30000, Tail: 1.2}},
			{"inodes, dentries", 6, buddy.GFPKernel | buddy.GFPReclaimable, []OrderWeight{{0, 3}, {1, 1}, {2, 0.5}}, Lifetime{Mean: 100000}},
			{"page tables", 4, buddy.GFPKernelAccount, page, Lifetime{Mean: 40000}},
			{"network buffers", 10, buddy.GFPAtomic, []OrderWeight{{0, 3}, {3, 1}}, Lifetime{Mean: 200}},
		}
	}
	return Mix{Name: "server", About: "mixed server, 256 MiB, 4 CPUs, day and night", MemoryMB: 256, CPUs: 4, Ops: 600000, Rounds: 3,
		Phases: []Phase{{2, 0.9, kinds(50, 20)}, {1, 0.4, kinds(10, 10)}}}
}

// build: many short processes, between them the linker with much memory at
// once; sources and results stay in the page cache.
func build() Mix {
	compile := []BlockKind{
		{"user memory", 60, buddy.GFPHighUserMovable, page, Lifetime{Mean: 4000}},
		{"page cache", 12, buddy.GFPHighUserMovable, []OrderWeight{{0, 4}, {2, 1}}, Lifetime{Mean: 300000}},
		{"page tables", 5, buddy.GFPKernelAccount, page, Lifetime{Mean: 4000}},
		{"kernel stacks", 2, buddy.GFPKernelAccount, []OrderWeight{{2, 1}}, Lifetime{Mean: 4000}},
		{"slabs", 4, buddy.GFPKernel, []OrderWeight{{0, 2}, {1, 1}, {3, 1}}, Lifetime{Mean: 50000, Tail: 1.3}},
		{"inodes, dentries", 5, buddy.GFPKernel | buddy.GFPReclaimable, []OrderWeight{{0, 2}, {2, 1}}, Lifetime{Mean: 250000}},
	}
	link := []BlockKind{
		{"user memory", 40, buddy.GFPHighUserMovable, page, Lifetime{Mean: 40000}},
		{"huge pages", 0.2, buddy.GFPTransHugeLight, []OrderWeight{{9, 1}}, Lifetime{Mean: 30000}},
		{"page cache", 20, buddy.GFPHighUserMovable, []OrderWeight{{0, 1}, {4, 0.3}}, Lifetime{Mean: 200000}},
		{"page tables", 2, buddy.GFPKernelAccount, page, Lifetime{Mean: 40000}},
	}
	return Mix{Name: "build", About: "a build of software, 256 MiB, 2 CPUs, compiling and linking", MemoryMB: 256, CPUs: 2, Ops: 400000, Rounds: 4,
		Phases: []Phase{{3, 0.85, compile}, {1, 0.9, link}}}
}

// database: buffers of fixed size that stay, beside the churn of queries.
func database() Mix {
	warm := []BlockKind{
		{"buffers", 1, buddy.GFPHighUserMovable, []OrderWeight{{4, 3}, {9, 0.05}}, Lifetime{Mean: 3e6}},
		{"slabs", 2, buddy.GFPKernel, []OrderWeight{{0, 1}, {3, 0.2}}, Lifetime{Mean: 1e5, Tail: 1.2}},
	}
	run := []BlockKind{
		{"buffers", 1, buddy.GFPHighUserMovable, []OrderWeight{{2, 2}, {4, 2}}, Lifetime{Mean: 4e5}},
		{"work memory", 30, buddy.GFPHighUserMovable, page, Lifetime{Mean: 3000}},
		{"log", 4, buddy.GFPHighUserMovable, page, Lifetime{Mean: 20000}},
		{"network buffers", 12, buddy.GFPAtomic, []OrderWeight{{0, 2}, {1, 1}, {3, 1}}, Lifetime{Mean: 300}},
		{"slabs", 5, buddy.GFPKernel, []OrderWeight{{0, 2}, {1, 1}, {2, 1}}, Lifetime{Mean: 60000, Tail: 1.2}},
	}
	return Mix{Name: "database", About: "database cache, 512 MiB, 4 CPUs, warm-up and queries", MemoryMB: 512, CPUs: 4, Ops: 500000,
		Phases: []Phase{{1, 0.8, warm}, {9, 0.9, run}}}
}

// board: little memory, drivers that want several pages together, and a leak.
func board() Mix {
	kinds := []BlockKind{
		{"user memory", 20, buddy.GFPHighUserMovable, page, Lifetime{Mean: 6000}},
		{"files", 6, buddy.GFPHighUserMovable, page, Lifetime{Mean: 40000}},
		{"slabs", 6, buddy.GFPKernel, []OrderWeight{{0, 4}, {1, 1}}, Lifetime{Mean: 8000, Tail: 1.3}},
		{"packets", 8, buddy.GFPAtomic, []OrderWeight{{0, 1}, {1, 1}}, Lifetime{Mean: 100}},
		{"frames", 0.4, buddy.GFPKernel, []OrderWeight{{4, 1}, {5, 1}}, Lifetime{Mean: 2000}},
		{"leak", 0.2, buddy.GFPKernel, page, Lifetime{Mean: 5000, Forever: 0.5}},
	}
	return Mix{Name: "board", About: "embedded board, 64 MiB, 1 CPU, with a leak", MemoryMB: 64, CPUs: 1, Ops: 300000,
		Phases: []Phase{{1, 0.85, kinds}}}
}
