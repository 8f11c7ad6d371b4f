package lkmm

// Options choose the model and bound the work of [Run]. The zero value asks
// for the newest model and generous limits.
type Options struct {
	// Model is the version of the memory model; nil means the newest.
	Model *Model
	// Without leaves axioms out, to see what they forbid.
	Without Axiom
	// Unroll is the number of rounds followed of loops that wait for other
	// threads; executions that need more are left out. 0 makes such a loop an
	// error.
	Unroll int
	// VerdictOnly stops as soon as the verdict is known. States and witnesses
	// are then those seen so far.
	VerdictOnly bool
	// Workers is the number of goroutines that share one test; 0 means 1. The
	// result does not depend on it.
	Workers int

	// MaxExecutions stops counting when a test has more executions than this;
	// what is missing for its verdict is then found as with VerdictOnly. 0
	// means no limit.
	MaxExecutions int64

	// MaxRounds bounds the rounds of a loop with a known bound (default 1000),
	// MaxPaths the ways through one thread (default 4096), MaxEvents the
	// accesses and markers of one execution (default 512), MaxStates the
	// different final states (default 1<<19).
	MaxRounds, MaxPaths, MaxEvents, MaxStates int
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.Model == nil {
		o.Model = Models[len(Models)-1]
	}
	setDefault(&o.Workers, 1)
	setDefault(&o.MaxRounds, 1000)
	setDefault(&o.MaxPaths, 4096)
	setDefault(&o.MaxEvents, 512)
	setDefault(&o.MaxStates, 1<<19)
	return o
}

func setDefault(v *int, d int) {
	if *v <= 0 {
		*v = d
	}
}
