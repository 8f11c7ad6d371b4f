package lockdep

// chain is a sequence of classes that were held one in another in one context,
// with how they were held. It is proven once.
type chain struct {
	key uint64
	// base and depth are where its links are in Validator.links.
	base, depth int32
	irqContext  uint8
	dead        bool
}

// chainStart is the key of the empty chain.
const chainStart = 0x9E3779B97F4A7C15

// chainKey extends a chain's key by a link.
func chainKey(k uint64, link uint32) uint64 {
	k ^= uint64(link)
	k *= 0xBF58476D1CE4E5B9
	k ^= k >> 29
	k *= 0x94D049BB133111EB
	return k ^ k>>32
}

// link is a held lock within a chain: its class, and whether as reader.
func (h *held) link() uint32 { return uint32(h.class)<<2 | uint32(h.read) }

// contextStart is the index of the first held lock in a lock's interrupt
// context.
func (t *Task) contextStart(ctx uint8) int {
	i := len(t.held)
	for i > 0 && t.held[i-1].irqContext == ctx {
		i--
	}
	return i
}

// knownChain looks a chain up, held locks of the context and the next; if it is
// new it is added (lookup_chain_cache_add).
func (v *Validator) knownChain(t *Task, next *held, key uint64) (bool, *Report) {
	held := t.held[t.contextStart(next.irqContext):]
	mask := len(v.table) - 1
	i := int(key) & mask
	for ; v.table[i] != 0; i = (i + 1) & mask {
		if c := &v.chains[v.table[i]]; c.key == key && v.sameChain(c, held, next) {
			v.stats.ChainHits++
			return true, nil
		}
	}
	v.stats.ChainMisses++
	switch {
	case v.liveChains >= v.cfg.MaxChains:
		return false, v.limit(t, "MAX_LOCKDEP_CHAINS")
	case len(v.links)+len(held)+1 > v.cfg.MaxChains*maxLinksPerChain:
		return false, v.limit(t, "MAX_LOCKDEP_CHAIN_HLOCKS")
	}
	v.table[i] = int32(len(v.chains))
	c := chain{key: key, base: int32(len(v.links)), depth: int32(len(held) + 1), irqContext: next.irqContext}
	for j := range held {
		v.links = append(v.links, held[j].link())
	}
	v.links = append(v.links, next.link())
	v.chains = append(v.chains, c)
	v.liveChains++
	if 2*len(v.chains) > len(v.table) {
		v.growTable(2 * len(v.table))
	}
	return false, nil
}

// maxLinksPerChain is the kernel's average room for a chain's locks.
const maxLinksPerChain = 5

func (v *Validator) sameChain(c *chain, held []held, next *held) bool {
	if int(c.depth) != len(held)+1 {
		return false
	}
	links := v.links[c.base : c.base+c.depth]
	for i := range held {
		if links[i] != held[i].link() {
			return false
		}
	}
	return links[len(held)] == next.link()
}

func (v *Validator) growTable(size int) {
	v.table = make([]int32, size)
	for id := 1; id < len(v.chains); id++ {
		if v.chains[id].dead {
			continue
		}
		i := int(v.chains[id].key) & (size - 1)
		for v.table[i] != 0 {
			i = (i + 1) & (size - 1)
		}
		v.table[i] = int32(id)
	}
}

// rebuildChains drops the chains that have a dead class.
func (v *Validator) rebuildChains() {
	for id := 1; id < len(v.chains); id++ {
		c := &v.chains[id]
		for _, l := range v.links[c.base : c.base+c.depth] {
			if !c.dead && v.classes[l>>2].dead {
				c.dead = true
				v.liveChains--
				v.stats.ZappedChains++
			}
		}
	}
	v.growTable(len(v.table))
}
