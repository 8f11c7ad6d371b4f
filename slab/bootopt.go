package slab

import (
	"strconv"
	"strings"
)

// SetBootOptions takes over what a kernel command line says about slabs:
// slub_min_order, slub_max_order, slub_min_objects, slub_nomerge (all also with
// slab_ for slub_), slub_debug, init_on_alloc, init_on_free and
// cgroup.memory=nokmem. Others, and values that are no numbers, are passed over,
// as the kernel does. The debugging options of Config are replaced.
func (c *Config) SetBootOptions(cmdline string) {
	c.Debug = ParseDebugOption("", false, 0)
	for _, word := range strings.Fields(cmdline) {
		key, value, _ := strings.Cut(word, "=")
		name, ours := strings.CutPrefix(key, "slub_")
		if !ours {
			name, ours = strings.CutPrefix(key, "slab_")
		}
		switch {
		case key == "init_on_alloc":
			setBool(&c.InitOnAlloc, value)
		case key == "init_on_free":
			setBool(&c.InitOnFree, value)
		case key == "cgroup.memory":
			c.MemcgDisabled = c.MemcgDisabled || strings.Contains(","+value+",", ",nokmem,")
		case !ours:
		case name == "nomerge":
			c.NoMerge = true
		case name == "debug":
			c.Debug = ParseDebugOption(value, true, 0)
		default:
			c.setOrder(name, value)
		}
	}
	c.MinOrder = min(c.MinOrder, c.MaxOrder)
}

func setBool(b *bool, value string) {
	switch strings.ToLower(value) {
	case "1", "y", "on":
		*b = true
	case "0", "n", "off":
		*b = false
	}
}

// setOrder mirrors setup_slub_min_order, setup_slub_max_order and
// setup_slub_min_objects.
func (c *Config) setOrder(name, value string) {
	n, err := strconv.ParseUint(value, 0, 31)
	if err != nil {
		return
	}
	switch name {
	case "min_order":
		c.MinOrder = uint32(n)
	case "max_order":
		c.MaxOrder = uint32(min(n, uint64(max(c.MaxPageOrder, 0))))
	case "min_objects":
		c.MinObjects = uint32(min(n, maxObjectsPerSlab))
	}
}
