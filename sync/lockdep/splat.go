package lockdep

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Splat is what a validator's report in a kernel's log says: the kind, and the
// locks and dependencies that it describes.
type Splat struct {
	Kind  Kind   `json:"kind"`
	Title string `json:"title"`
	// Lock is the lock being taken, released or changed; Held the one that is held,
	// or another that it conflicts with.
	Lock string `json:"lock"`
	Held string `json:"held,omitempty"`
	// Chain is the dependency chain that there was, from Lock to Held.
	Chain []string `json:"chain,omitempty"`
	// Safe and Unsafe are the two ends of an interrupt problem.
	Safe   string `json:"safe,omitempty"`
	Unsafe string `json:"unsafe,omitempty"`
	// Old and New are the two uses of one class that exclude each other.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
	// Context is the interrupt: HARDIRQ or SOFTIRQ, with -READ.
	Context string `json:"context,omitempty"`
	// States are the usage characters printed with each class.
	States map[string]string `json:"states,omitempty"`

	forwards bool
}

// ErrNoSplat says that a text has no report that is understood.
var ErrNoSplat = errors.New("lockdep: no report found")

var (
	logPrefix  = regexp.MustCompile(`^\s*(<\d+>)?\s*\[[\s.\d]*\](\[\s*[TC]\d+\])?`)
	lockState  = regexp.MustCompile(`\((.+)\)\{([.+?-]{4,})\}`)
	chainEntry = regexp.MustCompile(`^-> #(\d+)\s+\((.+)\)\{([.+?-]{4,})\}`)
	orderTitle = regexp.MustCompile(`((?:HARD|SOFT)IRQ(?:-READ)?)-safe -> \S+-unsafe lock order`)
	usesLine   = regexp.MustCompile(`inconsistent \{([A-Z-]+)\} -> \{([A-Z-]+)\} usage`)
	inThePast  = regexp.MustCompile(`(took another|taken by another), (\S+)-(un)?safe lock in the past`)
	lockCall   = regexp.MustCompile(`^r?lock\((.+)\);`)
	release    = regexp.MustCompile(`release lock \((.+)\) at`)
)

// splatTitles are the reports that are understood, by what their titles hold.
var splatTitles = []struct {
	text string
	kind Kind
}{
	{"possible recursive locking detected", Recursion},
	{"possible circular locking dependency detected", Circular},
	{"possible irq lock inversion dependency detected", Inversion},
	{"inconsistent lock state", Inconsistent},
	{"lock order detected", HardirqOrder},
	{"bad unlock balance detected", Unbalanced},
	{"held lock freed", FreedHeld},
	{"still has locks held", HeldAtExit},
	{"lock held when returning to user space", HeldAtReturn},
	{"Invalid wait context", WaitContext},
	{"suspicious RCU usage", SuspiciousRCU},
	{"Nested lock was not taken", NestNotHeld},
}

// maxSplatLine bounds a line of a log, in bytes.
const maxSplatLine = 1 << 16

// ReadSplat reads the first report of a kernel's log, in the forms of Linux 4.4 to
// 6.x: with or without time stamps, wait types and addresses. It fails with
// [ErrNoSplat] if there is none.
func ReadSplat(r io.Reader) (*Splat, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 4096), maxSplatLine)
	s := &Splat{States: map[string]string{}}
	p := &splatParser{s: s}
	for sc.Scan() {
		line := strings.TrimRight(logPrefix.ReplaceAllString(sc.Text(), ""), " \r")
		if s.Kind == "" {
			s.title(line)
			continue
		}
		if !p.line(strings.TrimSpace(line)) {
			break
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("lockdep: a line of more than %d bytes: %w", maxSplatLine, err)
	}
	if s.Kind == "" {
		return nil, ErrNoSplat
	}
	p.finish()
	return s, nil
}

func (s *Splat) title(line string) {
	for _, t := range splatTitles {
		// A page's heading ("TITLE:", "Subject:") is not the kernel's line.
		if !strings.Contains(line, t.text) || strings.HasPrefix(line, "TITLE") || !strings.Contains(line, "WARNING: ") && !strings.Contains(line, "BUG: ") && !strings.Contains(line, "INFO: ") {
			continue
		}
		s.Kind, s.Title = t.kind, strings.TrimSpace(line)
		if m := orderTitle.FindStringSubmatch(line); m != nil {
			s.Context = m[1]
			s.Kind = orderKinds[m[1]]
		}
		return
	}
}

var orderKinds = map[string]Kind{
	"HARDIRQ": HardirqOrder, "HARDIRQ-READ": HardirqReadOrder, "SOFTIRQ": SoftirqOrder, "SOFTIRQ-READ": SoftirqReadOrder,
}

// splatParser takes a report's lines. expect is where the next class that is
// printed belongs.
type splatParser struct {
	s      *Splat
	expect *string
	chain  map[int]string
	calls  []string
	path   []string
	inPath bool
}

// line takes a line; it is false at the report's end.
func (p *splatParser) line(line string) bool {
	s := p.s
	if m := chainEntry.FindStringSubmatch(line); m != nil {
		if p.chain == nil {
			p.chain = map[int]string{}
		}
		var n int
		fmt.Sscan(m[1], &n)
		p.chain[n] = m[2]
		s.States[m[2]] = m[3]
		return true
	}
	if m := usesLine.FindStringSubmatch(line); m != nil {
		s.Old, s.New = m[1], m[2]
	}
	if m := release.FindStringSubmatch(line); m != nil {
		s.Lock = m[1]
	}
	if m := inThePast.FindStringSubmatch(line); m != nil {
		s.forwards, s.Context = m[1] == "took another", m[2]
		p.expect = &s.Held
		return true
	}
	if m := lockCall.FindStringSubmatch(line); m != nil {
		p.calls = append(p.calls, m[1])
	}
	if p.expectation(line) {
		return true
	}
	if m := lockState.FindStringSubmatch(line); m != nil {
		p.class(line, m)
	}
	return line != "stack backtrace:"
}

// expectations tell which class is printed next.
func (p *splatParser) expectation(line string) bool {
	s := p.s
	for _, e := range []struct {
		text string
		to   *string
	}{
		{"is trying to acquire", &s.Lock}, {"is trying to lock", &s.Lock}, {"just changed the state of lock", &s.Lock},
		{"takes:", &s.Lock}, {"a lock still held there", &s.Lock}, {"already holding", &s.Held},
		{"-irq-safe lock:", &s.Safe}, {"-irq-unsafe lock:", &s.Unsafe},
	} {
		if strings.Contains(line, e.text) {
			p.expect = e.to
			p.inPath = strings.HasPrefix(line, "and ")
			return true
		}
	}
	p.inPath = p.inPath || strings.HasPrefix(line, "the dependencies between")
	return false
}

func (p *splatParser) class(line string, m []string) {
	if _, ok := p.s.States[m[1]]; !ok {
		p.s.States[m[1]] = m[2][:4]
	}
	if strings.HasPrefix(line, "-> (") && p.inPath {
		p.path = append(p.path, m[1])
	}
	if p.expect != nil {
		if *p.expect == "" {
			*p.expect = m[1]
		}
		p.expect = nil
	}
}

// finish draws conclusions: the chain in order, and what the scenario says where
// lines of the report are missing.
func (p *splatParser) finish() {
	s := p.s
	for i := 0; i < len(p.chain); i++ {
		if c, ok := p.chain[i]; ok {
			s.Chain = append(s.Chain, c)
		}
	}
	if s.Kind == Circular && len(s.Chain) > 0 {
		s.Lock, s.Held = s.Chain[0], s.Chain[len(s.Chain)-1]
	}
	if strings.HasSuffix(string(s.Kind), "_order") && len(p.calls) >= 3 {
		// lock(unsafe); lock(safe); lock(middle); lock(safe);
		s.Unsafe, s.Safe = p.calls[0], p.calls[1]
		if s.Lock == "" {
			s.Lock = s.Unsafe
		}
		if s.Held == "" {
			s.Held = s.Safe
			if p.calls[2] != s.Unsafe {
				s.Held = p.calls[2]
			}
		}
	}
}

// Explain rebuilds the dependencies and uses that the report describes on a fresh
// validator, repeats the last step, and returns what that finds. The report is nil
// if it finds nothing.
func (s *Splat) Explain() (*Report, error) {
	v, err := New(Config{})
	if err != nil {
		return nil, err
	}
	e := &explainer{v: v, t: v.NewTask("splat", 1), locks: map[string]LockID{}}
	if run := explainers[s.Kind]; run != nil {
		run(e, s)
	}
	return v.Report(), nil
}

// explainer drives a validator by names.
type explainer struct {
	v     *Validator
	t     *Task
	locks map[string]LockID
}

var explainers = map[Kind]func(*explainer, *Splat){
	Circular: func(e *explainer, s *Splat) {
		e.path(s.Chain)
		e.take(s.Held, s.Lock)
	},
	Recursion:        func(e *explainer, s *Splat) { e.take(s.Lock, s.Held) },
	Inconsistent:     func(e *explainer, s *Splat) { e.use(s.Lock, s.Old); e.use(s.Lock, s.New) },
	HardirqOrder:     (*explainer).order,
	SoftirqOrder:     (*explainer).order,
	HardirqReadOrder: (*explainer).order,
	SoftirqReadOrder: (*explainer).order,
	Inversion:        (*explainer).inversion,
	Unbalanced:       func(e *explainer, s *Splat) { e.v.Release(e.t, e.lock(s.Lock), "") },
	FreedHeld: func(e *explainer, s *Splat) {
		e.acquire(s.Lock, 0)
		e.v.Init(e.t, e.lock(s.Lock), 1, "")
	},
	HeldAtExit:   func(e *explainer, s *Splat) { e.acquire(s.Lock, 0); e.v.Exit(e.t) },
	HeldAtReturn: func(e *explainer, s *Splat) { e.acquire(s.Lock, 0); e.v.ReturnToUser(e.t) },
}

func (e *explainer) lock(name string) LockID {
	if e.locks[name] == 0 {
		e.locks[name] = e.v.NewLock(e.v.NewKey(Key{Name: name}), uint64(len(e.locks)+1)*64)
	}
	return e.locks[name]
}

func (e *explainer) acquire(name string, read uint8) {
	e.v.Acquire(e.t, e.lock(name), Acquire{Read: read, Site: "splat"})
}

// take takes one lock inside another.
func (e *explainer) take(outer, inner string) {
	e.acquire(outer, 0)
	e.acquire(inner, 0)
	e.v.Release(e.t, e.lock(inner), "")
	e.v.Release(e.t, e.lock(outer), "")
}

// path takes each lock of a chain inside the one before.
func (e *explainer) path(names []string) {
	for i := 1; i < len(names); i++ {
		e.take(names[i-1], names[i])
	}
}

// use takes a lock so that its class has a use.
func (e *explainer) use(name, use string) {
	b := UsageBit(slices.Index(usageNames[:], use))
	if b >= Used {
		return
	}
	read := uint8(b & readBit)
	soft := b >= UsedInSoftirq
	if b&enabledBit != 0 {
		if !soft {
			e.v.BHDisable(e.t, "")
		}
		e.acquire(name, read)
		e.v.Release(e.t, e.lock(name), "")
		if !soft {
			e.v.BHEnable(e.t, "")
		}
		return
	}
	e.v.HardirqsOff(e.t, "")
	e.handler(soft, func() { e.acquire(name, read); e.v.Release(e.t, e.lock(name), "") })
	e.v.HardirqsOn(e.t, "")
}

func (e *explainer) handler(soft bool, f func()) {
	if soft {
		e.v.SoftirqEnter(e.t)
		defer e.v.SoftirqExit(e.t)
	} else {
		e.v.HardirqEnter(e.t)
		defer e.v.HardirqExit(e.t)
	}
	f()
}

// uses are the names of the two uses of an interrupt problem: of the class that
// interrupts take, and of the one held while they are enabled, a reader's if the
// printed state has only that.
func (s *Splat) uses(unsafe string) (string, string) {
	irq, read, isRead := strings.Cut(s.Context, "-")
	in := "IN-" + irq + "-W"
	if isRead && read == "READ" {
		in = "IN-" + irq + "-R"
	}
	column := 0
	if irq == "SOFTIRQ" {
		column = 2
	}
	on := irq + "-ON-W"
	if c := s.States[unsafe]; len(c) == 4 && !strings.ContainsRune("+?", rune(c[column])) && strings.ContainsRune("+?", rune(c[column+1])) {
		on = irq + "-ON-R"
	}
	return in, on
}

// order: safe -> .. -> held -> lock -> .. -> unsafe.
func (e *explainer) order(s *Splat) {
	in, on := s.uses(s.Unsafe)
	e.use(s.Safe, in)
	e.use(s.Unsafe, on)
	e.v.HardirqsOff(e.t, "")
	if s.Safe != s.Held {
		e.take(s.Safe, s.Held)
	}
	if s.Lock != s.Unsafe {
		e.take(s.Lock, s.Unsafe)
	}
	e.take(s.Held, s.Lock)
}

// inversion: the lock took, or was taken under, another that is used the opposite
// way.
func (e *explainer) inversion(s *Splat) {
	in, on := s.uses(s.Held)
	path, first, last := []string{s.Lock, s.Held}, on, in
	if !s.forwards {
		_, on = s.uses(s.Lock)
		path, first, last = []string{s.Held, s.Lock}, in, on
	}
	e.use(s.Held, first)
	e.v.HardirqsOff(e.t, "")
	e.path(path)
	e.v.HardirqsOn(e.t, "")
	e.use(s.Lock, last)
}

// Differences compares what [Splat.Explain] found with what the report says: ""
// if kind, cycle and uses agree.
func (s *Splat) Differences(r *Report) string {
	if explainers[s.Kind] == nil {
		return ""
	}
	switch {
	case r == nil:
		return "nothing found"
	case r.Kind != s.Kind:
		return fmt.Sprintf("found %s", r.Kind)
	case s.Kind == Circular && !slices.Equal(r.Cycle, s.Chain):
		return fmt.Sprintf("found the cycle %v", r.Cycle)
	case s.Kind == Inconsistent && r.Detail != fmt.Sprintf("{%s} -> {%s} usage", s.Old, s.New):
		return "found " + r.Detail
	case len(r.Cycle) == 4 && s.Safe != "" && (r.Cycle[0] != s.Safe || r.Cycle[3] != s.Unsafe):
		return fmt.Sprintf("found %s safe, %s unsafe", r.Cycle[0], r.Cycle[3])
	}
	return ""
}
