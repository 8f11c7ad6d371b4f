package buddy

import "math/bits"

func (c *Config) zonelists() [][]int {
	out := make([][]int, c.Nodes())
	for n := range out {
		for k := range out {
			node := (n + k) % len(out)
			for i := len(c.Zones) - 1; i >= 0; i-- {
				if int(c.Zones[i].Node) == node {
					out[n] = append(out[n], i)
				}
			}
		}
	}
	return out
}

func StatThreshold(cpus int, managed uint64, pageShift int) int {
	mem := managed >> (27 - pageShift)
	return min(2*bits.Len(uint(cpus))*(1+bits.Len64(mem)), 125)
}
