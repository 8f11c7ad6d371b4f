package procfs

import (
	"bytes"
	"fmt"
	"io"

	"github.com/kernsim/kernsim/sched"
)

// domainNames and domainFlags are what 6.12 calls otherwise.
var (
	domainNames = map[string]string{"DIE": "PKG"}
	domainFlags = map[string]string{"SD_SHARE_PKG_RESOURCES": "SD_SHARE_LLC"}
)

// WriteDomains writes a simulation's scheduling domains as a listing "FILE: TEXT" of
// the files below /sys/kernel/debug/sched/domains, in debugfs' order: the last made
// first (register_sd). max_newidle_lb_cost, which a kernel measures, is 0: balancing
// takes no time here. A simulation without domains has no line.
func WriteDomains(w io.Writer, s *sched.Sim, f Form) error {
	var b bytes.Buffer
	for cpu := s.Machine().CPUs() - 1; cpu >= 0; cpu-- {
		list := s.Domains(sched.CPU(cpu))
		for i := len(list) - 1; i >= 0; i-- {
			d := &list[i]
			name, flags := d.Level.String(), ""
			for _, flag := range d.Flags {
				flags += rename(domainFlags, flag, f) + " "
			}
			dir := fmt.Sprintf("/sys/kernel/debug/sched/domains/cpu%d/domain%d/", cpu, i)
			for _, file := range [...]struct {
				name string
				text any
			}{{"flags", flags}, {"name", rename(domainNames, name, f)}, {"cache_nice_tries", d.CacheNiceTries}, {"imbalance_pct", d.ImbalancePct},
				{"busy_factor", d.BusyFactor}, {"max_newidle_lb_cost", 0}, {"max_interval", d.MaxInterval}, {"min_interval", d.MinInterval}} {
				fmt.Fprintf(&b, "%s%s: %v\n", dir, file.name, file.text)
			}
		}
	}
	_, err := b.WriteTo(w)
	return err
}

func rename(names map[string]string, name string, f Form) string {
	if other, ok := names[name]; ok && f == Linux6_12 {
		return other
	}
	return name
}
