package viz

import (
	"fmt"
	"math"
	"strings"

	"github.com/kernsim/kernsim/buddy"
)

// BlockMap shows the pageblocks of a machine, a cell for each, zone by zone and
// in address order: the migrate type as hue, the share of its pages that is in
// use as strength.
type BlockMap struct {
	Frame
	Zones []ZoneMap
	// PageKB is the page size in KiB.
	PageKB int
}

// ZoneMap is the pageblocks of one zone.
type ZoneMap struct {
	Node buddy.NodeID
	Type buddy.ZoneType
	// First is the first page frame of the first pageblock.
	First buddy.PFN
	// BlockPages is the number of pages of a pageblock.
	BlockPages uint64
	Blocks     []Block
	// Managed is how many pages the allocator was given. The others, reserved
	// or holes, look as if in use.
	Managed uint64
}

// Block is a pageblock, or several of one type taken together.
type Block struct {
	Type buddy.MigrateType
	// Pages is how many pages it has in the zone, Free how many of them are on
	// the zone's free lists or a CPU's page lists.
	Pages, Free uint64
}

// MapOf reads the pageblocks of an allocator.
func MapOf(a *buddy.Allocator) []ZoneMap {
	state := a.State()
	zones := make([]ZoneMap, a.NumZones())
	for i := range zones {
		zones[i] = zoneMap(a, i, &state.Zones[i])
	}
	return zones
}

func zoneMap(a *buddy.Allocator, i int, s *buddy.ZoneState) ZoneMap {
	z := a.Zone(i)
	size := buddy.PFN(1) << a.Config().PageblockOrder
	first := z.StartPFN() &^ (size - 1)
	m := ZoneMap{Node: z.Node(), Type: z.Type(), First: first, BlockPages: uint64(size), Managed: z.Managed()}
	for pfn := first; pfn < z.EndPFN(); pfn += size {
		mt, ok := a.BlockType(max(pfn, z.StartPFN()))
		if !ok {
			mt = buddy.Isolate
		}
		m.Blocks = append(m.Blocks, Block{Type: mt, Pages: uint64(min(pfn+size, z.EndPFN()) - max(pfn, z.StartPFN()))})
	}
	for o := range s.Free {
		for t := range s.Free[o] {
			m.addFree(s.Free[o][t], o)
		}
	}
	for cpu := range s.PCP {
		for l, pfns := range s.PCP[cpu].Lists {
			order := l / buddy.NumPCPTypes
			if l >= buddy.NumPCPLists-2 {
				order = int(a.Config().PageblockOrder)
			}
			m.addFree(pfns, order)
		}
	}
	return m
}

// addFree counts free blocks of an order to the pageblocks they lie in.
func (m *ZoneMap) addFree(pfns []buddy.PFN, order int) {
	for _, pfn := range pfns {
		for left := uint64(1) << order; left > 0; {
			part := min(left, m.BlockPages)
			if b := uint64(pfn-m.First) / m.BlockPages; b < uint64(len(m.Blocks)) {
				m.Blocks[b].Free += part
			}
			pfn += buddy.PFN(part)
			left -= part
		}
	}
}

// maxCells is how many cells a zone's map has at most; above, pageblocks are
// taken together.
const maxCells = 4096

// merged takes n neighbouring pageblocks together, under the type that most of
// their pages have.
func merged(blocks []Block, n int) []Block {
	if n == 1 {
		return blocks
	}
	var out []Block
	for i := 0; i < len(blocks); i += n {
		var pages [buddy.NumMigrateTypes]uint64
		var b Block
		for _, x := range blocks[i:min(i+n, len(blocks))] {
			pages[x.Type] += x.Pages
			b.Pages += x.Pages
			b.Free += x.Free
		}
		for t := range pages {
			if pages[t] > pages[b.Type] {
				b.Type = buddy.MigrateType(t)
			}
		}
		out = append(out, b)
	}
	return out
}

// strengths is how many steps of use are told apart.
const strengths = 5

// strength is the step of a block's used share: 0 all free, to 5 all in use.
func (b Block) strength() int {
	if b.Pages == 0 {
		return strengths
	}
	used := 1 - float64(min(b.Free, b.Pages))/float64(b.Pages)
	switch {
	case used <= 0:
		return 0
	case used >= 1:
		return strengths
	}
	return 1 + int(used*(strengths-1))
}

// opacity of a step; even an empty block shows its hue.
func opacity(step int) float64 { return 0.14 + 0.86*float64(step)/strengths }

// SVG draws the map.
func (g BlockMap) SVG() []byte {
	c := newCanvas(g.Frame)
	g.key(c)
	for i := range g.Zones {
		g.zone(c, &g.Zones[i])
	}
	c.y += 4
	return c.finish(g.Frame)
}

// key names the types that occur, with their number of pageblocks and the steps
// of strength.
func (g BlockMap) key(c *canvas) {
	var n [buddy.NumMigrateTypes]int
	for i := range g.Zones {
		for _, b := range g.Zones[i].Blocks {
			n[b.Type]++
		}
	}
	const cell = 11.0
	x := margin
	c.text(x, c.y+11, "kv-m kv-s", "", "free")
	c.text(x+28, c.y+11, "kv-m kv-s", "", "→ in use")
	c.y += lineStep
	for t := range n {
		if n[t] == 0 {
			continue
		}
		label := fmt.Sprintf("%v: %s", buddy.MigrateType(t), plural(n[t], "pageblock"))
		w := cell*(strengths+1) + 6 + textWidth(label, fontSize) + 16
		if x > margin && x+w > width-margin {
			x = margin
			c.y += lineStep + 2
		}
		for s := range strengths + 1 {
			c.rect(x+float64(s)*cell, c.y+1, cell, cell+1, fill(buddy.MigrateType(t), s), "")
		}
		c.text(x+cell*(strengths+1)+6, c.y+11, "kv-t", "", label)
		x += w
	}
	c.y += lineStep + 10
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return Count(n) + " " + what + "s"
}

func fill(t buddy.MigrateType, step int) string {
	return fmt.Sprintf(`fill="%s" fill-opacity="%s"`, typeColours[t], num(opacity(step)))
}

// zone draws one zone's grid under its name.
func (g BlockMap) zone(c *canvas, z *ZoneMap) {
	n := 1
	for (len(z.Blocks)+n-1)/n > maxCells {
		n *= 2
	}
	blocks := merged(z.Blocks, n)
	cell, columns := grid(len(blocks))
	kb := z.BlockPages * uint64(n) * uint64(max(g.PageKB, 1))
	managed, all := z.Managed*uint64(max(g.PageKB, 1)), z.pages()*uint64(max(g.PageKB, 1))
	label := fmt.Sprintf("Node %d, zone %v: %s", z.Node, z.Type, roundSize(all))
	note := fmt.Sprintf("a cell %s, a row %s", sizeText(kb), sizeText(kb*uint64(columns)))
	if managed < all-all/10 {
		label += ", of it managed " + roundSize(managed)
		note += "; what is not managed looks as if in use"
	}
	c.text(margin, c.y+12, "kv-t", "", label)
	c.text(margin, c.y+26, "kv-m kv-s", "", note)
	c.y += lineStep + 16
	if len(blocks) <= 1024 {
		g.cells(c, z, blocks, n, cell, columns)
	} else {
		paths(c, blocks, cell, columns)
	}
	rows := (len(blocks) + columns - 1) / columns
	c.y += float64(rows)*cell + 8
}

// grid chooses the cells' size, and how many stand in a row: a power of two, so
// that rows start at round addresses.
func grid(n int) (cell float64, columns int) {
	columns = 32
	for columns < 128 && n > columns*12 {
		columns *= 2
	}
	return math.Floor((width-2*margin)/float64(columns)*4) / 4, columns
}

// sizeText writes a number of KiB in a larger unit where that is whole.
func sizeText(kb uint64) string {
	switch {
	case kb >= 1<<20 && kb%(1<<20) == 0:
		return fmt.Sprintf("%d GiB", kb>>20)
	case kb >= 1<<10 && kb%(1<<10) == 0:
		return fmt.Sprintf("%d MiB", kb>>10)
	}
	return fmt.Sprintf("%d KiB", kb)
}

// cells draws each pageblock with a text on hovering.
func (g BlockMap) cells(c *canvas, z *ZoneMap, blocks []Block, n int, cell float64, columns int) {
	for i, b := range blocks {
		pfn := uint64(z.First) + uint64(i*n)*z.BlockPages
		title := fmt.Sprintf("page frame %s: %v, %s of %s pages free", Count(pfn), b.Type, Count(b.Free), Count(b.Pages))
		x, y := margin+float64(i%columns)*cell, c.y+float64(i/columns)*cell
		c.rect(x, y, cell-1, cell-1, fill(b.Type, b.strength()), title)
	}
}

// paths draws many pageblocks, those that look the same as one path.
func paths(c *canvas, blocks []Block, cell float64, columns int) {
	var d [buddy.NumMigrateTypes][strengths + 1]strings.Builder
	side := num(cell)
	for i, b := range blocks {
		x, y := margin+float64(i%columns)*cell, c.y+float64(i/columns)*cell
		fmt.Fprintf(&d[b.Type][b.strength()], "M%s %sh%sv%sh-%sz", num(x), num(y), side, side, side)
	}
	for t := range d {
		for s := range d[t] {
			if d[t][s].Len() > 0 {
				fmt.Fprintf(&c.b, `<path d="%s" %s/>`+"\n", d[t][s].String(), fill(buddy.MigrateType(t), s))
			}
		}
	}
}

// roundSize writes a number of KiB in MiB, or from 10 GiB on in GiB, rounded.
func roundSize(kb uint64) string {
	if kb >= 10<<20 {
		return fmt.Sprintf("%.1f GiB", float64(kb)/(1<<20))
	}
	return fmt.Sprintf("%s MiB", Count((kb+512)>>10))
}

// pages is the number of page frames that the zone spans.
func (m *ZoneMap) pages() uint64 {
	n := uint64(0)
	for i := range m.Blocks {
		n += m.Blocks[i].Pages
	}
	return n
}
