package buddy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goodConfig is a small valid machine of two nodes.
func goodConfig() Config {
	zone := func(node NodeID, t ZoneType, start PFN, pages uint64) ZoneConfig {
		return ZoneConfig{
			Node: node, Type: t, StartPFN: start, Spanned: pages, Present: pages, Managed: pages,
			Watermark: Watermarks{Min: 1, Low: 2, High: 3, Promo: 4}, LowmemReserve: make([]uint64, 3),
			PCP: PCPConfig{Batch: 1}, StatThreshold: 2,
		}
	}
	return Config{
		PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 2, CPUNode: []NodeID{0, 1},
		ZoneTypes: []ZoneType{ZoneDMA, ZoneNormal, ZoneMovable},
		Zones:     []ZoneConfig{zone(0, ZoneDMA, 0, 4096), zone(0, ZoneNormal, 4096, 4096), zone(1, ZoneNormal, 8192, 4096)},
		Distances: [][]int{{10, 21}, {21, 10}},
	}
}

func TestConfigValidate(t *testing.T) {
	good := goodConfig()
	require.NoError(t, good.Validate())
	assert.Equal(t, 2, good.Nodes())
	assert.Equal(t, 21, good.Distance(0, 1))
	assert.Equal(t, RemoteDistance, good.Distance(0, 5))
	assert.Equal(t, LocalDistance, good.Distance(5, 5))

	faults := map[string]func(c *Config){
		"PageShift":                   func(c *Config) { c.PageShift = 13 },
		"PageblockOrder":              func(c *Config) { c.PageblockOrder = 11 },
		"MaxOrder":                    func(c *Config) { c.MaxOrder = 15 },
		"CPUs":                        func(c *Config) { c.CPUs, c.CPUNode = 0, nil },
		"len(CPUNode)":                func(c *Config) { c.CPUs = 3 },
		"CPUNode[1]":                  func(c *Config) { c.CPUNode[1] = -1 },
		"ZoneTypes[1]":                func(c *Config) { c.ZoneTypes[1] = ZoneDMA },
		"ZoneTypes[2]":                func(c *Config) { c.ZoneTypes[2] = NumZoneTypes },
		"ZoneTypes":                   func(c *Config) { c.ZoneTypes = nil },
		"Zones":                       func(c *Config) { c.Zones = nil },
		"Zones[1].Node":               func(c *Config) { c.Zones[1].Node = -1 },
		"Zones[2].Type":               func(c *Config) { c.Zones[2].Type = ZoneHighMem },
		"Zones[1].Type":               func(c *Config) { c.Zones[1].Type = ZoneDMA },
		"Zones[1].StartPFN":           func(c *Config) { c.Zones[1].StartPFN = 4095 },
		"Zones[2].StartPFN":           func(c *Config) { c.Zones[2].StartPFN = 1 << 32 },
		"Zones[0].Spanned":            func(c *Config) { c.Zones[0].Spanned = 1<<32 + 1 },
		"Zones[0].Present":            func(c *Config) { c.Zones[0].Present = 4097 },
		"Zones[0].Managed":            func(c *Config) { c.Zones[0].Managed = 4097 },
		"Zones[0].CMAPages":           func(c *Config) { c.Zones[0].CMAPages = 4097 },
		"Zones[0].len(LowmemReserve)": func(c *Config) { c.Zones[0].LowmemReserve = nil },
		"Zones[0].StatThreshold":      func(c *Config) { c.Zones[0].StatThreshold = 126 },
		"Zones[0].Watermark":          func(c *Config) { c.Zones[0].Watermark.Low = 0 },
		"Zones[0].PCP.Batch":          func(c *Config) { c.Zones[0].PCP.Batch = 0 },
		"Zones[0].PCP.High":           func(c *Config) { c.Zones[0].PCP.High = -1 },
		"Zones[0].PCP.HighMin":        func(c *Config) { c.Zones[0].PCP.HighMin = -1 },
		"Zones[0].PCP.HighMax":        func(c *Config) { c.Zones[0].PCP.HighMax = -1 },
		"len(Distances)":              func(c *Config) { c.Distances = c.Distances[:1] },
		"len(Distances[1])":           func(c *Config) { c.Distances[1] = []int{21} },
		"Distances[0][0]":             func(c *Config) { c.Distances[0][0] = 11 },
		"Distances[1][0]":             func(c *Config) { c.Distances[1][0] = 10 },
		"Distances[0][1]":             func(c *Config) { c.Distances[0][1] = 256 },
	}
	all := goodConfig()
	for field, breakIt := range faults {
		c := goodConfig()
		breakIt(&c)
		err := c.Validate()
		if !assert.Error(t, err, field) {
			continue
		}
		assert.Contains(t, faultFields(t, err), field)
	}
	all.PageShift, all.MaxOrder, all.Zones[0].PCP.Batch = 0, 0, 0
	assert.Subset(t, faultFields(t, all.Validate()), []string{"PageShift", "MaxOrder", "Zones[0].PCP.Batch"})
}

// faultFields are the fields of all faults that an error joins.
func faultFields(t *testing.T, err error) (fields []string) {
	t.Helper()
	var joined interface{ Unwrap() []error }
	require.ErrorAs(t, err, &joined)
	for _, e := range joined.Unwrap() {
		var fault *ConfigError
		require.ErrorAs(t, e, &fault)
		fields = append(fields, fault.Field)
	}
	return fields
}

func TestConfigZoneSpans(t *testing.T) {
	c := goodConfig()
	c.Zones[2].StartPFN = 2048 // inside node 0's zones: nodes may interleave
	assert.NoError(t, c.Validate())
	c.CPUNode, c.Distances = nil, nil
	assert.NoError(t, c.Validate())
	c.Zones[0].Watermark.Promo = 0
	assert.NoError(t, c.Validate(), "kernels before 5.18 have none")
}

func TestArchString(t *testing.T) {
	assert.Equal(t, "x86_64 arm64 arm x86_32 Arch(9)", Machine{Arch: X86_64}.Arch.String()+" "+ARM64.String()+" "+ARM.String()+" "+X86_32.String()+" "+Arch(9).String())
}
