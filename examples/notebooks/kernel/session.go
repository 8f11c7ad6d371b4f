package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// The marks between which package show writes displays, and the variable by
// which it knows this kernel.
const (
	showEnv   = "KERNSIM_NOTEBOOK"
	showStart = "\x1b]kernsim;"
	showEnd   = "\x07\n"
)

// output is what a cell shows while it runs.
type output interface {
	stream(name, text string)
	display(id string, data map[string]any)
}

// session runs cells one after the other in a module of its own.
type session struct {
	dir  string // the module
	work string // where the notebook is
	prog program
	n    int
}

// newSession makes the cells' module. work is the notebook's folder.
func newSession(work string) (*session, error) {
	dir, err := os.MkdirTemp("", "kernsim-notebook-")
	if err != nil {
		return nil, err
	}
	s := &session{dir: dir, work: work}
	err = os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module cells\n\ngo 1.25\n"), 0o644)
	return s, err
}

func (s *session) close() { os.RemoveAll(s.dir) }

// errCell says that a cell failed; what happened is in its output.
var errCell = errors.New("the cell failed")

// run runs a cell. Its declarations stay, if it compiles.
func (s *session) run(ctx context.Context, text string, out output) error {
	s.n++
	name := fmt.Sprintf("cell[%d]", s.n)
	c, err := parseCell(text)
	if err != nil {
		return err
	}
	for _, sh := range c.shell {
		dir := s.work
		if sh.inModule {
			dir = s.dir
		}
		if err := s.exec(ctx, out, dir, "/bin/sh", "-c", sh.command); err != nil {
			return err
		}
	}
	prog, err := s.prog.add(c, name)
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.decls) == "" && !c.main {
		return nil
	}
	if !c.main {
		c.body = "" // declarations alone are compiled, with an empty main
		c.main = !has(prog, "func main")
		run := has(prog, "func main") && strings.Contains(c.decls, "func main")
		return s.compile(ctx, prog, c, name, out, run)
	}
	return s.compile(ctx, prog, c, name, out, true)
}

// has says whether a program declares something.
func has(p program, key string) bool {
	for _, d := range p.decls {
		if d.key == key {
			return true
		}
	}
	return false
}

// compile builds a program and perhaps runs it.
func (s *session) compile(ctx context.Context, prog program, c *cell, name string, out output, run bool) error {
	if err := os.WriteFile(filepath.Join(s.dir, "main.go"), []byte(prog.source(c, name)), 0o644); err != nil {
		return err
	}
	args := []string{"build", "-mod=mod", "-buildvcs=false", "-o", "cell", "."}
	if !run {
		args = []string{"build", "-mod=mod", "-buildvcs=false", "-o", os.DevNull, "."}
	}
	if err := s.exec(ctx, out, s.dir, "go", args...); err != nil {
		return err
	}
	s.prog = prog
	if !run {
		return nil
	}
	return s.exec(ctx, out, s.work, filepath.Join(s.dir, "cell"))
}

// exec runs a program and passes on what it writes.
func (s *session) exec(ctx context.Context, out output, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), showEnv+"=1", "GONB_DIR="+s.work, "GONB_TMP_DIR="+s.dir, "GOWORK=off")
	var mu sync.Mutex
	stdout := &writer{out: out, mu: &mu, name: "stdout", shows: true}
	stderr := &writer{out: out, mu: &mu, name: "stderr"}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	stdout.flush()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %v", errCell, exit)
	}
	return err
}

// writer passes a program's output on, displays by themselves.
type writer struct {
	out   output
	mu    *sync.Mutex
	name  string
	shows bool
	rest  []byte // the start of a display that has not ended
}

func (w *writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(b)
	if !w.shows {
		w.out.stream(w.name, string(b))
		return n, nil
	}
	b = append(w.rest, b...)
	w.rest = nil
	for {
		i := bytes.IndexByte(b, showStart[0])
		if i < 0 {
			w.text(b)
			return n, nil
		}
		w.text(b[:i])
		b = b[i:]
		end := bytes.Index(b, []byte(showEnd))
		if len(b) >= len(showStart) && !bytes.HasPrefix(b, []byte(showStart)) {
			w.text(b[:1])
			b = b[1:]
			continue
		}
		if end < 0 {
			w.rest = bytes.Clone(b)
			return n, nil
		}
		w.show(b[len(showStart):end])
		b = b[end+len(showEnd):]
	}
}

func (w *writer) text(b []byte) {
	if len(b) > 0 {
		w.out.stream(w.name, string(b))
	}
}

// show passes a display on.
func (w *writer) show(b []byte) {
	var d struct{ ID, MIME, Data string }
	raw, err := base64.StdEncoding.DecodeString(string(b))
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		w.out.stream("stderr", fmt.Sprintf("a display that cannot be read: %v\n", err))
		return
	}
	w.out.display(d.ID, map[string]any{d.MIME: d.Data})
}

// flush passes on what is left at the end.
func (w *writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text(w.rest)
	w.rest = nil
}

var _ io.Writer = (*writer)(nil)
