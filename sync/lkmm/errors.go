package lkmm

import (
	"errors"
	"fmt"
)

// SyntaxError is a litmus text that cannot be read: an unknown primitive, an
// unsupported statement, a malformed condition.
type SyntaxError struct {
	File string
	Pos  Pos
	// Found is the text at the place, Expected what may stand there.
	Found, Expected string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: found %s, expected %s", e.File, e.Pos.Line, e.Pos.Col, e.Found, e.Expected)
}

// ProgramError is a test that is well formed but cannot be judged: a loop
// whose rounds depend on shared memory, too many events.
type ProgramError struct {
	File   string
	Thread string
	Pos    Pos
	// Reason wraps [ErrUnboundedLoop] or [ErrTooLarge].
	Reason error
}

func (e *ProgramError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s: %v", e.File, e.Pos.Line, e.Pos.Col, e.Thread, e.Reason)
}

// Unwrap gives the reason to errors.Is.
func (e *ProgramError) Unwrap() error { return e.Reason }

// Reasons why a well-formed test is not judged.
var (
	// ErrUnboundedLoop: the number of rounds of a loop is not known before the
	// test runs. Options.Unroll bounds such loops.
	ErrUnboundedLoop = errors.New("loop without a bound known in advance")
	// ErrTooLarge: the test exceeds a limit of Options.
	ErrTooLarge = errors.New("test too large")
)
