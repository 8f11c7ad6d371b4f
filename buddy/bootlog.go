package buddy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// BootLog is what a kernel's boot messages say about memory.
type BootLog struct {
	// Kernel is the version ("Linux version"); CommandLine the kernel's.
	Kernel, CommandLine string
	// E820 is the memory map of an x86 firmware ("BIOS-e820").
	E820 []E820Range
	// Unusable is memory that the kernel took out of that map itself.
	Unusable []PhysRange
	// Nodes is the memory by node ("Early memory node ranges").
	Nodes []MemRange
	// Zones are between which addresses zones of a type can lie ("Zone
	// ranges"); the range of an empty one is zero.
	Zones []LoggedZone
	// CMA are the areas for contiguous allocation in the device tree.
	CMA []PhysRange
	// CPUs is the number of CPUs that the kernel prepared for, 0 if not said.
	CPUs int
	// Zonelists is how many there are, TotalPages the pages in all zones that
	// the kernel reckoned with, MobilityGrouping whether it groups by mobility
	// ("Built 1 zonelists, ..."). Zonelists is 0 if that line is missing.
	Zonelists        int
	TotalPages       uint64
	MobilityGrouping bool
}

// E820Range is an entry of a firmware's memory map.
type E820Range struct {
	PhysRange
	// Type is "usable" for memory, or another word.
	Type string
}

// LoggedZone is a line of "Zone ranges".
type LoggedZone struct {
	PhysRange
	Type ZoneType
}

// BootLogError says where boot messages could not be read.
type BootLogError struct {
	Line            int
	Found, Expected string
}

func (e *BootLogError) Error() string {
	return fmt.Sprintf("buddy: boot log line %d: found %q, want %s", e.Line, e.Found, e.Expected)
}

// maxBootLogLine bounds the memory that a line takes.
const maxBootLogLine = 64 << 10

// ReadBootLog reads kernel messages (dmesg), with or without time stamps. Lines
// that do not concern memory are passed over; a line that does but cannot be
// read is an error, a [*BootLogError].
func ReadBootLog(r io.Reader) (*BootLog, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxBootLogLine)
	p := bootLogParser{log: &BootLog{}}
	for scanner.Scan() {
		p.line++
		if err := p.parse(stripTime(scanner.Text())); err != nil {
			return nil, err
		}
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, &BootLogError{p.line + 1, "a longer line", fmt.Sprintf("at most %d bytes", maxBootLogLine)}
	} else if err != nil {
		return nil, err
	}
	return p.log, nil
}

// stripTime takes the time stamp and log level off a message.
func stripTime(line string) string {
	if rest, ok := strings.CutPrefix(line, "<"); ok {
		if level, after, ok := strings.Cut(rest, ">"); ok && len(level) <= 3 {
			line = after
		}
	}
	if strings.HasPrefix(line, "[") && !strings.HasPrefix(line, "[mem ") {
		if _, rest, ok := strings.Cut(line, "]"); ok {
			return strings.TrimPrefix(rest, " ")
		}
	}
	return line
}

type bootLogParser struct {
	log  *BootLog
	line int
	// inZones says that the lines are those of "Zone ranges".
	inZones bool
}

func (p *bootLogParser) fail(found, expected string) error {
	return &BootLogError{p.line, found, expected}
}

// parse reads one message.
func (p *bootLogParser) parse(line string) error {
	if p.inZones {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "  node ") {
			return p.zone(line)
		}
		p.inZones = false
	}
	trimmed := strings.TrimSpace(line)
	switch {
	case line == "Zone ranges:":
		p.inZones = true
	case strings.HasPrefix(line, "Linux version "):
		p.log.Kernel, _, _ = strings.Cut(strings.TrimPrefix(line, "Linux version "), " ")
	case strings.HasPrefix(line, "Kernel command line: "):
		p.log.CommandLine = strings.TrimPrefix(line, "Kernel command line: ")
	case strings.HasPrefix(line, "BIOS-e820: [mem "):
		return p.e820(strings.TrimPrefix(line, "BIOS-e820: "))
	case strings.HasPrefix(line, "e820: update [mem ") || strings.HasPrefix(line, "e820: remove [mem "):
		return p.unusable(line[len("e820: update "):])
	case strings.HasPrefix(trimmed, "node ") && strings.Contains(line, ": [mem "):
		return p.node(trimmed)
	case strings.HasPrefix(line, "Reserved memory: created CMA memory pool at "):
		return p.cma(strings.TrimPrefix(line, "Reserved memory: created CMA memory pool at "))
	case strings.HasPrefix(line, "Built ") && strings.Contains(line, " zonelists, mobility grouping "):
		return p.built(line)
	case strings.HasPrefix(line, "SLUB: ") || strings.HasPrefix(line, "SLAB: "):
		return p.cpus(line)
	}
	return nil
}

// memRange reads "[mem 0x0-0xfff]" and gives what follows.
func (p *bootLogParser) memRange(s string) (r PhysRange, rest string, err error) {
	bad := p.fail(s, "[mem 0x<first>-0x<last>]")
	body, ok := strings.CutPrefix(s, "[mem 0x")
	inner, rest, closed := strings.Cut(body, "]")
	first, last, dash := strings.Cut(inner, "-0x")
	if !ok || !closed || !dash {
		return r, "", bad
	}
	if i := strings.IndexByte(last, ' '); i >= 0 {
		last = last[:i] // flags follow
	}
	start, err1 := strconv.ParseUint(first, 16, 64)
	end, err2 := strconv.ParseUint(last, 16, 64)
	if err1 != nil || err2 != nil || end < start || end+1 == 0 {
		return r, "", bad
	}
	return PhysRange{start, end + 1}, rest, nil
}

func (p *bootLogParser) e820(s string) error {
	r, rest, err := p.memRange(s)
	if err == nil {
		p.log.E820 = append(p.log.E820, E820Range{r, strings.TrimSpace(rest)})
	}
	return err
}

func (p *bootLogParser) unusable(s string) error {
	r, rest, err := p.memRange(s)
	if err == nil && strings.HasPrefix(strings.TrimSpace(rest), "usable") {
		p.log.Unusable = append(p.log.Unusable, r)
	}
	return err
}

// node reads "node   0: [mem 0x1000-0x9efff]".
func (p *bootLogParser) node(s string) error {
	number, rest, _ := strings.Cut(strings.TrimPrefix(s, "node "), ": ")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 16)
	if err != nil || n >= maxNodes {
		return p.fail(s, fmt.Sprintf("node 0 to %d", maxNodes-1))
	}
	r, _, err := p.memRange(rest)
	if err == nil {
		p.log.Nodes = append(p.log.Nodes, MemRange{PhysRange: r, Node: NodeID(n)})
	}
	return err
}

// zone reads "  DMA32    [mem 0x1000000-0xffffffff]" or "  Normal   empty".
func (p *bootLogParser) zone(line string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	t, err := ParseZoneType(name)
	if err != nil {
		return p.fail(line, "a zone name")
	}
	rest = strings.TrimSpace(rest)
	var r PhysRange
	if rest != "empty" {
		r, _, err = p.memRange(rest)
	}
	if n := len(p.log.Zones); n > 0 && p.log.Zones[n-1].Type >= t {
		return p.fail(line, fmt.Sprintf("a zone after %v", p.log.Zones[n-1].Type))
	}
	p.log.Zones = append(p.log.Zones, LoggedZone{r, t})
	return err
}

// cma reads "0x000000000c000000, size 64 MiB".
func (p *bootLogParser) cma(s string) error {
	bad := p.fail(s, "0x<address>, size <n> MiB")
	address, size, ok := strings.Cut(s, ", size ")
	start, err := strconv.ParseUint(address, 0, 64)
	mib, err2 := strconv.ParseUint(strings.TrimSuffix(size, " MiB"), 10, 32)
	if !ok || err != nil || err2 != nil || start+mib<<20 < start {
		return bad
	}
	p.log.CMA = append(p.log.CMA, PhysRange{start, start + mib<<20})
	return nil
}

// built reads "Built 1 zonelists, mobility grouping on.  Total pages: 64512".
func (p *bootLogParser) built(line string) error {
	var grouping string
	n, err := fmt.Sscanf(line, "Built %d zonelists, mobility grouping %s Total pages: %d",
		&p.log.Zonelists, &grouping, &p.log.TotalPages)
	if err != nil || n != 3 || grouping != "on." && grouping != "off." {
		return p.fail(line, "Built <n> zonelists, mobility grouping on|off.  Total pages: <n>")
	}
	p.log.MobilityGrouping = grouping == "on."
	return nil
}

// cpus reads the number of CPUs from SLUB's line "..., CPUs=4, Nodes=1".
func (p *bootLogParser) cpus(line string) error {
	_, rest, ok := strings.Cut(line, "CPUs=")
	if !ok {
		return nil
	}
	digits, _, _ := strings.Cut(rest, ",")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n < 1 || n > maxCPUs {
		return p.fail(line, fmt.Sprintf("CPUs=1 to %d", maxCPUs))
	}
	p.log.CPUs = int(n)
	return nil
}

// Machine gives the machine as far as the log describes it: memory by node, or
// else from the firmware's map; CMA, CPUs and the command line's settings. What
// is reserved and which CPU is on which node are not in the log.
func (l *BootLog) Machine() (Machine, error) {
	m := Machine{Arch: l.arch(), CMA: l.CMA, CMABuiltIn: len(l.CMA) > 0, CPUs: l.CPUs, Memory: l.Nodes}
	if len(m.Memory) == 0 {
		m.Memory = l.e820Memory()
	}
	if len(m.Memory) == 0 {
		return m, &BootLogError{Found: "no memory", Expected: `"node 0: [mem ...]" or "BIOS-e820: [mem ...] usable"`}
	}
	if m.Arch == ARM64 {
		m.DMALimit = l.dmaLimit()
	}
	m.ZoneTypes = l.zoneTypes(&m)
	return m, l.commandLine(&m)
}

// arch guesses the architecture: only x86 has E820, only 32-bit ones HighMem.
func (l *BootLog) arch() Arch {
	highMem := false
	for _, z := range l.Zones {
		highMem = highMem || z.Type == ZoneHighMem
	}
	switch x86 := len(l.E820) > 0; {
	case x86 && highMem:
		return X86_32
	case x86:
		return X86_64
	case highMem:
		return ARM
	}
	return ARM64
}

// e820Memory is the usable memory of the firmware's map without what the kernel
// always takes out: the first page, and 640 KiB to 1 MiB.
func (l *BootLog) e820Memory() []MemRange {
	var usable []PhysRange
	for _, r := range l.E820 {
		if r.Type == "usable" {
			usable = append(usable, r.PhysRange)
		}
	}
	holes := union(l.Unusable, []PhysRange{{0, 0x1000}, {0xa0000, 0x100000}})
	var memory []MemRange
	for _, r := range subtract(union(usable), holes) {
		memory = append(memory, MemRange{PhysRange: r})
	}
	return memory
}

// dmaLimit is where ZONE_DMA ends, 0 if no memory lies behind it.
func (l *BootLog) dmaLimit() uint64 {
	limit := uint64(0)
	for _, z := range l.Zones {
		if z.Type == ZoneDMA {
			limit = z.End
		} else if z.End > 0 && limit > 0 {
			return limit
		}
	}
	return 0
}

// zoneTypes are the zone types that the log names and Movable, which it never
// names; none if the log has just the usual ones of the architecture.
func (l *BootLog) zoneTypes(m *Machine) []ZoneType {
	var types, usual []ZoneType
	device := false
	for _, z := range l.Zones {
		if z.Type == ZoneDevice {
			device = true
		} else if z.Type != ZoneMovable {
			types = append(types, z.Type)
		}
	}
	for _, t := range m.zoneTypes() {
		if t < ZoneMovable {
			usual = append(usual, t)
		}
	}
	switch {
	case len(types) == 0 || slices.Equal(types, usual) && !device:
		return nil
	case device:
		return append(types, ZoneMovable, ZoneDevice)
	}
	return append(types, ZoneMovable)
}

// commandLine applies the settings that decide about zones.
func (l *BootLog) commandLine(m *Machine) (err error) {
	for _, word := range strings.Fields(l.CommandLine) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "kernelcore":
			m.KernelCore, err = ParseCoreSize(value)
		case "movablecore":
			m.MovableCore, err = ParseCoreSize(value)
		case "movable_node":
			m.MovableNode = true
		case "maxcpus", "nr_cpus":
			if n, err := strconv.Atoi(value); err == nil && n > 0 && n < m.CPUs {
				m.CPUs = n
			}
		case "transparent_hugepage":
			m.THPNever = value == "never"
		}
		if err != nil {
			return err
		}
	}
	return nil
}
