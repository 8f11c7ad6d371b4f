package sched

// Level is a level of the hierarchy of scheduling domains.
type Level uint8

// The levels, from the smallest.
const (
	LevelSMT  Level = iota // CPUs of one core
	LevelMC                // CPUs that share the last cache
	LevelDIE               // CPUs of one node
	LevelNUMA              // all nodes
)

// String is the name in /sys/kernel/debug/sched/domains.
func (l Level) String() string { return [...]string{"SMT", "MC", "DIE", "NUMA"}[l] }

// domain is a level of the machine's scheduling domains (sched_domain): units of
// span CPUs with numbers that follow each other, each made of groups.
type domain struct {
	level        Level
	span         int    // CPUs of a unit
	group        int    // CPUs of each of its groups: the span of the level below, or 1
	imbalancePct uint64 // by how much, in percent, the busiest has to exceed
	cacheTries   int    // failures after which cache-hot tasks are moved
	preferSpread bool   // tasks spread over the groups of the level above (SD_PREFER_SIBLING)
	imbNUMA      int    // running tasks up to which an imbalance between nodes is allowed
}

// busyFactor is how much rarer busy CPUs balance; maxPinnedInterval up to how many
// ms the interval grows where all tasks are pinned.
const (
	busyFactor        = 16
	maxPinnedInterval = 512
)

// domainState is what a CPU keeps of one of its domains.
type domainState struct {
	last     uint64 // tick of the last balancing
	interval uint64 // ms between two
	failed   int    // balancings that moved nothing, in a row
	// imbalance: affinities below kept the balancing of a group from moving what
	// it should have (sg_imbalance). It is kept by the group's first CPU.
	imbalance bool
}

// buildDomains makes the levels of a topology; one that has only one group is
// left out (sd_degenerate).
func buildDomains(t *Topology, cpus int) []domain {
	var out []domain
	below := 1
	for level, span := range [...]int{t.SMT, t.LLC, t.Node, cpus} {
		span = min(span, cpus)
		if span <= below {
			continue
		}
		d := domain{level: Level(level), span: span, group: below, imbalancePct: 117, preferSpread: true}
		switch d.level {
		case LevelSMT:
			d.imbalancePct = 110
		case LevelMC, LevelDIE:
			d.cacheTries = 1
		case LevelNUMA:
			d.cacheTries, d.preferSpread = 2, false
		}
		out = append(out, d)
		below = span
	}
	allowImbalance(out)
	return out
}

// allowImbalance says up to how many running tasks nodes may differ: as many as
// there are caches in a node, or an eighth of the CPUs if there is one.
func allowImbalance(domains []domain) {
	caches, span := 0, 0
	for i := range domains {
		d := &domains[i]
		if d.level > LevelMC && caches == 0 && d.group > 1 {
			if caches = d.span / d.group; caches == 1 {
				caches = d.span >> 3
			}
			caches = max(caches, 1)
			for j := i; j < len(domains); j++ {
				if span = d.span; domains[j].level == LevelNUMA {
					span = domains[j].span
					break
				}
			}
		}
		if caches > 0 {
			d.imbNUMA = caches * max(1, d.span/span)
		}
	}
}

// sharesCache says that all CPUs of a unit share the last cache.
func (d *domain) sharesCache() bool { return d.level <= LevelMC }

// first is the first CPU of a CPU's unit.
func (d *domain) first(cpu CPU) CPU { return cpu - cpu%CPU(d.span) }
