package convert

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/kernsim/kernsim/trace"
)

// Bits of common_flags.
const (
	flagIRQsOff        = 0x01
	flagNeedLazy       = 0x02
	flagNeedResched    = 0x04
	flagHardIRQ        = 0x08
	flagSoftIRQ        = 0x10
	flagPreemptResched = 0x20
	flagNMI            = 0x40
	flagBHOff          = 0x80
)

// column finds the character of a latency column whose bits are set; choices
// are tried in their order.
type column []struct {
	bits uint8
	text byte
}

var (
	irqColumn     = column{{flagIRQsOff | flagBHOff, 'D'}, {flagIRQsOff, 'd'}, {flagBHOff, 'b'}}
	reschedColumn = column{
		{flagNeedResched | flagPreemptResched | flagNeedLazy, 'B'}, {flagNeedResched | flagPreemptResched, 'N'},
		{flagNeedLazy | flagPreemptResched, 'L'}, {flagNeedResched | flagNeedLazy, 'b'},
		{flagNeedResched, 'n'}, {flagNeedLazy, 'l'}, {flagPreemptResched, 'p'},
	}
	contextColumn = column{
		{flagNMI | flagHardIRQ, 'Z'}, {flagNMI, 'z'}, {flagHardIRQ | flagSoftIRQ, 'H'}, {flagHardIRQ, 'h'}, {flagSoftIRQ, 's'},
	}
)

func (c column) text(flags uint8) byte {
	for _, x := range c {
		if flags&x.bits == x.bits {
			return x.text
		}
	}
	return '.'
}

func (c column) bits(text byte) uint8 {
	for _, x := range c {
		if x.text == text {
			return x.bits
		}
	}
	return 0
}

// flagsOf makes the latency columns of a record's common fields; the upper
// half of preempt is the migrate-disable depth.
func flagsOf(flags, preempt uint8) trace.Flags {
	return trace.Flags{irqColumn.text(flags), reschedColumn.text(flags), contextColumn.text(flags), digit(preempt & 15), digit(preempt >> 4)}
}

// digit is a depth's character.
func digit(n uint8) byte {
	if n == 0 {
		return '.'
	}
	return "0123456789abcdef"[n]
}

// commonOf is the reverse of flagsOf. The two lazy columns of seven are left
// out.
func commonOf(f trace.Flags) (flags, preempt uint8) {
	c := [5]byte(f[:5])
	if f.Len() == 7 {
		c = [5]byte{f[0], f[1], f[3], f[4], f[6]}
	}
	flags = irqColumn.bits(c[0]) | reschedColumn.bits(c[1]) | contextColumn.bits(c[2])
	return flags, depth(c[3]) | depth(c[4])<<4
}

func depth(c byte) uint8 {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0
}

// maxUnpacked bounds what a compressed part may become: a chunk of trace-cmd
// is some hundred pages.
const maxUnpacked = 256 << 20

// unpack decompresses a section or chunk to at most size bytes.
func unpack(codec string, b []byte, size int64) ([]byte, error) {
	if size > maxUnpacked {
		return nil, fmt.Errorf("%d bytes of compressed content", size)
	}
	var r io.Reader
	switch codec {
	case "zlib":
		z, err := zlib.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnpacked))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	default:
		return nil, fmt.Errorf("compression %q", codec)
	}
	out, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(out)) != size {
		return nil, fmt.Errorf("%d bytes of content that should be %d", len(out), size)
	}
	return out, nil
}
