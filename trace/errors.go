package trace

import (
	"fmt"
	"strings"
)

// ParseError says where a file stops being what it should be. The readers
// return it as a pointer; errors.As finds it.
type ParseError struct {
	File     string // name given to the reader
	Line     int    // line number, from 1; 0 if the fault is in no line
	Found    string // what the file has there, shortened
	Expected string // what would have been right
	Err      error  // the reader's error underneath, if there is one
}

// Error gives file, line, what was found and what was expected.
func (e *ParseError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	fmt.Fprintf(&b, ": found %s, expected %s", e.Found, e.Expected)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap gives the error underneath, so that errors.Is finds for example
// io.ErrUnexpectedEOF of a cut gzip file.
func (e *ParseError) Unwrap() error { return e.Err }

// maxQuote is how much of a faulty text an error repeats.
const maxQuote = 80

// quote gives text for an error's Found, shortened.
func quote(text []byte) string {
	if len(text) > maxQuote {
		return fmt.Sprintf("%q...", text[:maxQuote])
	}
	return fmt.Sprintf("%q", text)
}
