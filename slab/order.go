package slab

import "math/bits"

// maxObjectsPerSlab is MAX_OBJS_PER_PAGE: a slab counts its objects in 15 bits.
const maxObjectsPerSlab = 32767

// objectsIn is how many objects of a size a block holds (order_objects).
func (c *Config) objectsIn(order int, size uint32) uint32 {
	return uint32(uint64(1) << (c.PageShift + order) / uint64(size))
}

// wantedObjects is how many objects a slab should hold at least: more on
// machines with more CPUs, because a slab serves one CPU until it is used up.
func (c *Config) wantedObjects() uint32 {
	if c.MinObjects != 0 {
		return c.MinObjects
	}
	cpus := c.CPUsPossible
	if c.Profile.CPUs == CPUsPresent && c.CPUsPresent > 1 {
		cpus = c.CPUsPresent
	}
	return 4 * (uint32(bits.Len(uint(cpus))) + 1)
}

// smallestOrder is the smallest order in [from, MaxOrder] whose block leaves at
// most 1/fraction unused; MaxOrder+1 if there is none.
func (c *Config) smallestOrder(size uint32, from int, fraction uint64) int {
	order := from
	for ; order <= int(c.MaxOrder); order++ {
		block := uint64(1) << (c.PageShift + order)
		if block%uint64(size) <= block/fraction {
			break
		}
	}
	return order
}

// CalculateOrder is the order of the slabs of a cache whose objects take size
// bytes, metadata included; ok is false if no block is large enough. It is the
// kernel's calculate_order.
func (c *Config) CalculateOrder(size uint32) (order int, ok bool) {
	if size == 0 {
		return 0, false
	}
	rule := (*Config).orderShrinking
	if c.Profile.Order == OrderFixedMin {
		rule = (*Config).orderFixedMin
	}
	order = rule(c, size)
	if order > int(c.MaxOrder) {
		// Not even one object fits within MaxOrder.
		order = max(int(c.MinOrder), c.order(uint64(size)))
	}
	return order, order <= c.MaxPageOrder
}

// orderShrinking is calculate_order until 6.7: first more waste, then fewer
// objects.
func (c *Config) orderShrinking(size uint32) int {
	if c.objectsIn(int(c.MinOrder), size) > maxObjectsPerSlab {
		return c.fullestOrder(size)
	}
	want := min(c.wantedObjects(), c.objectsIn(int(c.MaxOrder), size))
	for ; want > 1; want-- {
		from := max(int(c.MinOrder), c.order(uint64(want)*uint64(size)))
		for fraction := uint64(16); fraction >= 4; fraction /= 2 {
			if order := c.smallestOrder(size, from, fraction); order <= int(c.MaxOrder) {
				return order
			}
		}
	}
	return c.smallestOrder(size, max(int(c.MinOrder), c.order(uint64(size))), 1)
}

// orderFixedMin is calculate_order since 6.8: only more waste, up to half.
func (c *Config) orderFixedMin(size uint32) int {
	want := min(c.wantedObjects(), max(c.objectsIn(int(c.MaxOrder), size), 1))
	from := max(int(c.MinOrder), c.order(uint64(want)*uint64(size)))
	if c.objectsIn(from, size) > maxObjectsPerSlab {
		return c.fullestOrder(size)
	}
	for fraction := uint64(16); fraction > 1; fraction /= 2 {
		if order := c.smallestOrder(size, from, fraction); order <= int(c.MaxOrder) {
			return order
		}
	}
	return int(c.MaxOrder) + 1
}

// fullestOrder is the largest order whose slab can count its objects.
func (c *Config) fullestOrder(size uint32) int {
	return c.order(uint64(size)*maxObjectsPerSlab) - 1
}
