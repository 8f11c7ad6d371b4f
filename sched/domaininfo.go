package sched

// DomainInfo describes a scheduling domain of a CPU, as the files below
// /sys/kernel/debug/sched/domains do.
type DomainInfo struct {
	Level          Level
	First          CPU      // the first CPU of the unit
	CPUs           int      // of the unit
	GroupCPUs      int      // of each of its groups
	Flags          []string // SD_*, in the kernel's order
	MinInterval    int      // ms between two balancings at the least
	MaxInterval    int      // ms at the most
	BusyFactor     int      // by which it is longer on a busy CPU
	ImbalancePct   int      // percent by which the busiest group has to exceed
	CacheNiceTries int      // failed balancings after which cache-hot tasks move
}

// Domains lists a CPU's scheduling domains from the smallest. There are none for
// an unknown CPU, on one CPU, or without load tracking.
func (s *Sim) Domains(cpu CPU) []DomainInfo {
	if !known(s.m.rqs, cpu) {
		return nil
	}
	var out []DomainInfo
	for i := range s.levels {
		d := &s.levels[i]
		span := int(s.minInterval(d))
		info := DomainInfo{Level: d.level, First: d.first(cpu), GroupCPUs: d.group, MinInterval: span, MaxInterval: 2 * span,
			BusyFactor: busyFactor, ImbalancePct: int(d.imbalancePct), CacheNiceTries: d.cacheTries,
			Flags: []string{"SD_BALANCE_NEWIDLE", "SD_BALANCE_EXEC", "SD_BALANCE_FORK", "SD_WAKE_AFFINE"}}
		info.CPUs = min(span, len(s.cpus)-int(info.First))
		if d.level == LevelSMT {
			info.Flags = append(info.Flags, "SD_SHARE_CPUCAPACITY")
		}
		if d.sharesCache() {
			info.Flags = append(info.Flags, "SD_SHARE_PKG_RESOURCES")
		}
		if d.level == LevelNUMA {
			info.Flags = append(info.Flags, "SD_SERIALIZE")
		}
		if d.preferSpread {
			info.Flags = append(info.Flags, "SD_PREFER_SIBLING")
		}
		if d.level == LevelNUMA {
			info.Flags = append(info.Flags, "SD_OVERLAP", "SD_NUMA")
		}
		out = append(out, info)
	}
	return out
}
