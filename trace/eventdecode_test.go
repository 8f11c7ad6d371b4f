package trace_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/trace"
)

// An event from elsewhere gets its payload.
func ExampleDecoder() {
	var d trace.Decoder
	ev := trace.Event{Name: "mm_page_free", Args: []byte("page=0000000000000010 pfn=0x10 order=3")}
	fmt.Println(d.Decode(&ev), ev.Kind, ev.Page.PFN, ev.Page.Order)
	// Output: <nil> mm_page_free 16 3
}

func TestDecoder(t *testing.T) {
	var d trace.Decoder
	ev := trace.Event{Name: "anything", Args: []byte("a=1")}
	require.NoError(t, d.Decode(&ev))
	assert.Equal(t, trace.KindUnknown, ev.Kind)

	ev = trace.Event{Line: 5, Name: "mm_page_free", Args: []byte("pfn=zero order=3")}
	var p *trace.ParseError
	require.True(t, errors.As(d.Decode(&ev), &p))
	assert.Equal(t, 5, p.Line)
	assert.Contains(t, p.Found, "zero")
}
