package slab

import (
	"fmt"
	"strings"
)

// DebugOption is the boot option slub_debug= (slab_debug= since 6.7): which
// debugging flags caches get.
type DebugOption struct {
	// Global are the flags of all caches that no block names.
	Global Flags
	// Blocks name caches; the first that matches a cache's name wins.
	Blocks []DebugBlock
	// NoHigherOrder is option O: a cache whose smallest slab would need a
	// higher order gets no flags that need metadata.
	NoHigherOrder bool
	// Unknown are letters that mean nothing; the kernel prints
	// "slub_debug option 'x' unknown. skipped".
	Unknown []byte
}

// DebugBlock is a list of caches and their flags.
type DebugBlock struct {
	Flags Flags
	// Names of caches; a '*' stands for any rest.
	Names []string
}

var debugLetters = []struct {
	letter byte
	flag   Flags
}{{'F', ConsistencyChecks}, {'Z', RedZone}, {'P', Poison}, {'U', StoreUser}, {'T', Trace}, {'A', FailSlab}}

// ParseDebugOption reads the value of slub_debug= ("FZ,kmalloc-64,dentry*;P").
// on says that the option is on the command line at all: slub_debug alone, or
// with an empty value, turns everything on. initial are the flags in effect
// without the option (CONFIG_SLUB_DEBUG_ON).
func ParseDebugOption(value string, on bool, initial Flags) DebugOption {
	if !on {
		return DebugOption{Global: initial}
	}
	if value == "" {
		return DebugOption{Global: DefaultDebugFlags}
	}
	d := DebugOption{Global: initial}
	global, global0 := false, Flags(0)
	for _, text := range strings.Split(value, ";") {
		if text == "" {
			continue
		}
		letters, names, named := strings.Cut(text, ",")
		flags := d.letters(letters)
		if letters == "" && named {
			flags = DefaultDebugFlags
		}
		if !named {
			global, global0 = true, flags
			continue
		}
		d.Blocks = append(d.Blocks, DebugBlock{flags, strings.Split(names, ",")})
	}
	if global || d.Blocks == nil {
		d.Global = global0
	}
	return d
}

// letters reads a block's options; '-' takes back those before it.
func (d *DebugOption) letters(text string) Flags {
	var f Flags
next:
	for _, c := range []byte(text) {
		up := c &^ 0x20
		for _, l := range debugLetters {
			if up == l.letter {
				f |= l.flag
				continue next
			}
		}
		switch {
		case c == '-':
			f = 0
		case up == 'O':
			d.NoHigherOrder = true
		default:
			d.Unknown = append(d.Unknown, c)
		}
	}
	return f
}

// String gives a value that [ParseDebugOption] reads back as the same option.
func (d DebugOption) String() string {
	var blocks []string
	for _, b := range d.Blocks {
		blocks = append(blocks, letters(b.Flags)+","+strings.Join(b.Names, ","))
	}
	global := letters(d.Global)
	if d.NoHigherOrder {
		global = strings.TrimPrefix(global, "-") + "O"
	}
	return strings.Join(append(blocks, global), ";")
}

func letters(f Flags) string {
	var b strings.Builder
	for _, l := range debugLetters {
		if f&l.flag != 0 {
			b.WriteByte(l.letter)
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

// apply is kmem_cache_flags: the flags of a cache with the option's added.
func (d *DebugOption) apply(name string, flags Flags) Flags {
	if flags&NoUserFlags != 0 {
		return flags
	}
	for _, b := range d.Blocks {
		for _, pattern := range b.Names {
			if matchName(pattern, name) {
				return flags | b.Flags
			}
		}
	}
	global := d.Global
	if flags&NoLeakTrace != 0 {
		global &^= StoreUser
	}
	return flags | global
}

// matchName says whether a cache's name fits a pattern: up to a '*', or whole.
func matchName(pattern, name string) bool {
	if head, _, glob := strings.Cut(pattern, "*"); glob {
		return strings.HasPrefix(name, head)
	}
	return pattern == name
}

// SetDebug parses a value of slub_debug= into the configuration and reports
// letters that mean nothing.
func (c *Config) SetDebug(value string) error {
	c.Debug = ParseDebugOption(value, true, 0)
	if len(c.Debug.Unknown) > 0 {
		return fmt.Errorf("slab: slub_debug option '%c' unknown. skipped", c.Debug.Unknown[0])
	}
	return nil
}
