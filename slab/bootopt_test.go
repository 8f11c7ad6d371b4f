package slab

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBootOptions(t *testing.T) {
	for _, tt := range []struct {
		cmdline string
		want    func(*Config)
	}{
		{"console=ttyS0 quiet", func(*Config) {}},
		{"slub_min_order=1", func(c *Config) { c.MinOrder = 1 }},
		{"slab_max_order=99 slub_min_objects=40", func(c *Config) { c.MaxOrder, c.MinObjects = 10, 40 }},
		{"slub_max_order=x slub_min_order=-1 slub_min_objects", func(*Config) {}},
		{"slub_max_order=1 slub_min_order=2", func(c *Config) { c.MaxOrder, c.MinOrder = 1, 1 }},
		{"slab_nomerge init_on_alloc=1", func(c *Config) { c.NoMerge, c.InitOnAlloc = true, true }},
		{"init_on_free=on init_on_free=0 cgroup.memory=nosocket,nokmem", func(c *Config) { c.MemcgDisabled = true }},
		{"slub_debug", func(c *Config) { c.Debug.Global = DefaultDebugFlags }},
		{"slub_debug=", func(c *Config) { c.Debug.Global = DefaultDebugFlags }},
		{"slub_debug=FZ", func(c *Config) { c.Debug.Global = ConsistencyChecks | RedZone }},
		{"slub_debug=,dentry", func(c *Config) {
			c.Debug = DebugOption{Blocks: []DebugBlock{{DefaultDebugFlags, []string{"dentry"}}}}
		}},
		{"slub_debug=-", func(*Config) {}},
	} {
		got, want := NewConfig(Linux6_1, X86_64, 2), NewConfig(Linux6_1, X86_64, 2)
		got.SetBootOptions(tt.cmdline)
		tt.want(&want)
		assert.Equal(t, want, got, tt.cmdline)
		assert.NoError(t, got.Validate(), tt.cmdline)
	}
}
