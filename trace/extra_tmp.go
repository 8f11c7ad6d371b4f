package trace

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

type SnapshotExtra struct {
	MTNames []string
	Zones   []ExtraZone
}
type ExtraZone struct {
	Node                   int
	Name                   string
	NRFreePages, NRFreeCMA int64
	CPUs                   []ExtraCPU
}
type ExtraCPU struct {
	CPU                        int
	FreePagesDiff, FreeCMADiff int64
	StatThreshold              int
}

func (x *SnapshotExtra) HasMigrateType(n string) bool {
	for _, m := range x.MTNames {
		if m == n {
			return true
		}
	}
	return false
}

func ReadSnapshotExtra(r io.Reader, name string) (*SnapshotExtra, error) {
	x := &SnapshotExtra{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		l := s.Text()
		kv := map[string]string{}
		for _, f := range strings.Fields(l) {
			if k, v, ok := strings.Cut(f, "="); ok {
				kv[k] = v
			}
		}
		atoi := func(k string) (n int64) { fmt.Sscan(kv[k], &n); return }
		switch {
		case strings.HasPrefix(l, "ksnap_extra"):
			x.MTNames = strings.Split(kv["mt_names"], ",")
		case strings.HasPrefix(l, "zonestat "):
			x.Zones = append(x.Zones, ExtraZone{Node: int(atoi("node")), Name: kv["name"], NRFreePages: atoi("nr_free_pages"), NRFreeCMA: atoi("nr_free_cma")})
		case strings.HasPrefix(l, "zonestatcpu"):
			z := &x.Zones[len(x.Zones)-1]
			z.CPUs = append(z.CPUs, ExtraCPU{int(atoi("cpu")), atoi("free_pages_diff"), atoi("free_cma_diff"), int(atoi("stat_threshold"))})
		}
	}
	return x, nil
}
