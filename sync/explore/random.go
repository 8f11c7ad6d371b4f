package explore

import "context"

// RandomOptions say how random schedules are drawn.
type RandomOptions struct {
	Options
	// Seed seeds the first schedule; the following have the next numbers. 0 stands
	// for 1.
	Seed uint64
	// Schedules is how many are drawn; 0 stands for 10,000.
	Schedules int
	// Depth, if not 0, draws by priorities that change Depth-1 times (PCT): a failure
	// that needs so many orderings is found with a known probability. 0 draws every
	// step uniformly.
	Depth int
}

// source is a small random source (splitmix64).
type source uint64

func (r *source) next() uint64 {
	*r += 0x9E3779B97F4A7C15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (r *source) below(n int) int { return int(r.next() % uint64(n)) }

// Random draws schedules until one fails.
func Random(ctx context.Context, p *Program, o RandomOptions) (*Result, error) {
	o.Options = o.Options.withDefaults()
	if o.Schedules == 0 {
		o.Schedules = 10_000
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	m := newMachine(p)
	d := &drawer{m: m, o: &o, length: 64, trail: make([]Choice, 0, 256)}
	res := &Result{}
	for i := range o.Schedules {
		if i&255 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		seed := o.Seed + uint64(i)
		f := d.run(seed)
		res.Schedules++
		res.Steps += len(d.trail)
		if f != nil {
			f.Seed = seed
			f.Schedule = append([]Choice(nil), d.trail...)
			res.Failure = f
			return res, nil
		}
	}
	return res, nil
}

// drawer draws one schedule after another.
type drawer struct {
	m *machine
	o *RandomOptions
	r source
	// length is the longest schedule so far: where priorities may change.
	length int
	trail  []Choice
	buf    [maxThreads * (1 + bufferSize)]Choice
	// priority of each thread's steps and, behind them, of each place in its buffer.
	priority [maxThreads * (1 + bufferSize)]int
	changes  [16]int
}

func (d *drawer) run(seed uint64) *Failure {
	d.m.reset()
	d.r = source(seed)
	d.trail = d.trail[:0]
	d.draw()
	for len(d.trail) < d.o.MaxSteps {
		choices := d.m.choices(d.buf[:0])
		if len(choices) == 0 {
			d.length = max(d.length, len(d.trail))
			return d.m.stuck()
		}
		c := d.pick(choices)
		d.trail = append(d.trail, c)
		d.m.take(c)
		if d.m.fail != nil {
			return d.m.fail
		}
	}
	return &Failure{Kind: Livelock, Text: "the schedule does not end"}
}

// draw draws priorities and where they change.
func (d *drawer) draw() {
	if d.o.Depth == 0 {
		return
	}
	n := len(d.m.p.threads) * (1 + bufferSize)
	for i := range n {
		j := d.r.below(i + 1)
		d.priority[i] = d.priority[j]
		d.priority[j] = i + d.o.Depth
	}
	for i := range d.changePoints() {
		d.changes[i] = d.r.below(d.length)
	}
}

func (d *drawer) changePoints() int { return min(max(d.o.Depth-1, 0), len(d.changes)) }

func (d *drawer) actor(c Choice) int {
	if c.Flush > 0 {
		return len(d.m.p.threads) + c.Thread*bufferSize + c.Flush - 1
	}
	return c.Thread
}

func (d *drawer) pick(choices []Choice) Choice {
	if d.o.Depth == 0 {
		return choices[d.r.below(len(choices))]
	}
	best := choices[0]
	for _, c := range choices[1:] {
		if d.priority[d.actor(c)] > d.priority[d.actor(best)] {
			best = c
		}
	}
	for i := range d.changePoints() {
		if d.changes[i] == len(d.trail) {
			d.priority[d.actor(best)] = i
		}
	}
	return best
}
