package sched

import (
	"strconv"
	"strings"
)

// The files cpu.uclamp.min and cpu.uclamp.max of the cpu controller: per cent with
// two decimals, or "max".

// SetUclampMin writes a group's cpu.uclamp.min: what a CPU that runs its tasks is
// taken as used at least ("30.5" per cent, "max"). It is capped by the parent's and by
// the group's own upper clamp (cpu_uclamp_min_write).
func (k Kernel) SetUclampMin(g GroupID, text string) error { return k.setUclamp(g, clampMin, text) }

// SetUclampMax writes a group's cpu.uclamp.max: at most (cpu_uclamp_max_write).
func (k Kernel) SetUclampMax(g GroupID, text string) error { return k.setUclamp(g, clampMax, text) }

// UclampMin is the text of a group's cpu.uclamp.min, without the end of the line; that
// of a group that has none is empty.
func (m *Machine) UclampMin(g GroupID) string { return m.uclamp(g, clampMin) }

// UclampMax is the same of cpu.uclamp.max.
func (m *Machine) UclampMax(g GroupID) string { return m.uclamp(g, clampMax) }

var uclampFiles = [clampIDs]string{"cpu.uclamp.min", "cpu.uclamp.max"}

const hundredPercent = 100_00

func (k Kernel) setUclamp(g GroupID, id clampID, text string) error {
	file := uclampFiles[id]
	if _, err := k.group(file, g); err != nil {
		return err
	}
	if k.m.clamps == nil {
		return &CgroupError{File: file, Errno: "ENOENT", Want: "a machine with ClampBuckets"}
	}
	percent := int64(hundredPercent)
	if text = strings.TrimSpace(text); text != "max" {
		var ok bool
		if percent, ok = parsePercent(text); !ok {
			return &CgroupError{File: file, Text: text, Errno: "EINVAL", Want: `per cent such as "12.5", or "max"`}
		}
		if percent < 0 || percent > hundredPercent {
			return &CgroupError{File: file, Text: text, Errno: "ERANGE", Want: "0 to 100 per cent"}
		}
	}
	s := &k.m.clamps.groups[g]
	s.asked[id] = uint16((percent<<capacityShift + hundredPercent/2) / hundredPercent)
	s.percent[id] = uint16(percent)
	k.m.updateGroupClamps(g)
	return nil
}

// parsePercent reads a number with a fraction, in hundredths, rounded
// (cgroup_parse_float). What follows the number is ignored, as by the kernel.
func parsePercent(s string) (hundredths int64, ok bool) {
	end := 0
	if end < len(s) && (s[0] == '-' || s[0] == '+') {
		end++
	}
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	whole, err := strconv.ParseInt(s[:end], 10, 32)
	if err != nil {
		return 0, false
	}
	hundredths = whole * 100
	if end == len(s) || s[end] != '.' {
		return hundredths, true
	}
	scale := int64(1000)
	var frac int64 // in thousandths: a third decimal rounds, others do not matter
	for _, c := range s[end+1:] {
		if c < '0' || c > '9' {
			break
		}
		scale /= 10
		frac += int64(c-'0') * scale
	}
	return hundredths + (frac+5)/10, true
}

func (m *Machine) uclamp(g GroupID, id clampID) string {
	if m.clamps == nil || !known(m.groups, g) || g == RootGroup {
		return ""
	}
	s := &m.clamps.groups[g]
	if s.asked[id] == fullCapacity {
		return "max"
	}
	p := int(s.percent[id])
	return strconv.Itoa(p/100) + "." + string([]byte{byte('0' + p/10%10), byte('0' + p%10)})
}
