package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
)

// Cache keeps the results of finished runs, so that a comparison that was
// interrupted goes on where it was. A key names everything that a result
// depends on but the program itself. Its methods are called from several
// goroutines.
type Cache interface {
	// Get gives a result that was put there; nil if there is none.
	Get(key string) *Result
	Put(key string, r *Result) error
}

// DirCache is a folder with a file for each result. Files that cannot be read
// count as missing.
type DirCache struct {
	dir string
	// program is part of each file's name: another build's results are not taken.
	program string
}

// NewDirCache makes the folder if need be. program identifies the program: a
// hash of it, for example.
func NewDirCache(dir, program string) (*DirCache, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(program))
	return &DirCache{dir, hex.EncodeToString(sum[:6])}, nil
}

func (c *DirCache) path(key string) string {
	return filepath.Join(c.dir, key+"-"+c.program+".result")
}

// maxCached is the largest result that is read back.
const maxCached = 64 << 20

// Get reads a result.
func (c *DirCache) Get(key string) *Result {
	info, err := os.Stat(c.path(key))
	if err != nil || info.Size() > maxCached {
		return nil
	}
	text, err := os.ReadFile(c.path(key))
	if err != nil || len(text) < sha256.Size {
		return nil
	}
	// A file that was cut short or changed is as good as none.
	body := text[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], text[:sha256.Size]) {
		return nil
	}
	var r Result
	if gob.NewDecoder(bytes.NewReader(body)).Decode(&r) != nil {
		return nil
	}
	return &r
}

// Put writes a result, whole or not at all.
func (c *DirCache) Put(key string, r *Result) error {
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(r); err != nil {
		return err
	}
	sum := sha256.Sum256(body.Bytes())
	f, err := os.CreateTemp(c.dir, "*.part")
	if err != nil {
		return err
	}
	_, err = f.Write(append(sum[:], body.Bytes()...))
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), c.path(key)); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(f.Name())))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// streamKey names a workload's machine and its stream for a seed.
func streamKey(w *Workload, seed uint64) ([]byte, error) {
	h := sha256.New()
	m := w.Machine
	text, err := json.Marshal([]any{w.Name, m.Config, m.Spans, m.Free, m.Hardware, m.State, m.Baseline, w.Ops})
	if err != nil {
		return nil, err
	}
	h.Write(text)
	s := w.Stream(seed)
	var op Op
	var b []byte
	for s.Next(&op) {
		if b = appendOp(b, &op); len(b) > 1<<16 {
			h.Write(b)
			b = b[:0]
		}
	}
	h.Write(b)
	return h.Sum(nil), nil
}

// appendOp writes everything that an operation says.
func appendOp(b []byte, op *Op) []byte {
	num := func(v uint64) { b = binary.AppendUvarint(b, v) }
	r := &op.Request
	for _, v := range []uint64{uint64(op.Kind), uint64(op.Slot), uint64(r.CPU), uint64(int64(r.Node)), uint64(r.Order), uint64(r.GFP),
		uint64(r.Nodes), uint64(r.Task), uint64(op.Offset), uint64(op.Order), uint64(op.PFN), op.Time, uint64(len(op.Slots))} {
		num(v)
	}
	for _, s := range op.Slots {
		num(uint64(s))
	}
	c := op.Call
	if c == nil {
		return append(b, 0)
	}
	num(1 + uint64(c.Kind))
	for _, v := range []uint64{uint64(c.PFN), uint64(c.Order), uint64(c.N), uint64(c.Zone), uint64(c.Type), uint64(int64(c.Node)), uint64(len(c.PFNs)), uint64(len(c.Claims))} {
		num(v)
	}
	for _, p := range c.PFNs {
		num(uint64(p))
	}
	for _, on := range append(c.Claims[:len(c.Claims):len(c.Claims)], c.On) {
		if on {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// runKey names a run.
func runKey(stream []byte, strategy string, samples int) string {
	h := sha256.New()
	writeAll(h, stream, []byte(strategy), binary.AppendUvarint(nil, uint64(samples)))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func writeAll(h hash.Hash, parts ...[]byte) {
	for _, p := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write(p)
	}
}
