package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kernsim/kernsim/captures"
	"github.com/kernsim/kernsim/replay"
)

// target is a capture to be replayed.
type target struct {
	capture replay.Capture
	limits  []captures.Limit
}

// targets finds the captures that arguments name: capture folders, folders of
// capture folders, names of embedded captures; with none, all embedded
// captures that have data for the model ("" for any). A folder whose
// sub-folders are meant may hold some that cannot be replayed: those are
// skipped, their names returned. Arguments that name nothing usable are errors;
// they don't keep the others from being replayed.
func targets(args []string, model string) (list []target, skipped []string, bad []error) {
	if len(args) == 0 {
		list, skipped, err := embeddedTargets(model)
		if err != nil {
			bad = append(bad, err)
		}
		return list, skipped, bad
	}
	for _, arg := range args {
		found, skip, err := resolve(arg, model)
		if err != nil {
			bad = append(bad, err)
		}
		list = append(list, found...)
		skipped = append(skipped, skip...)
	}
	return list, skipped, bad
}

func embeddedTargets(model string) (list []target, skipped []string, err error) {
	for _, info := range captures.List() {
		if !info.Embedded {
			continue
		}
		t, err := embeddedTarget(info.Name)
		if err != nil {
			return nil, nil, err
		}
		if t.has(model) {
			list = append(list, t)
		} else if model == "" {
			skipped = append(skipped, info.Name)
		}
	}
	return list, skipped, nil
}

func embeddedTarget(name string) (target, error) {
	fsys, err := captures.Open(name)
	if err != nil {
		return target{}, err
	}
	return newTarget(replay.Capture{Name: name, FS: fsys})
}

func newTarget(c replay.Capture) (target, error) {
	limits, err := captures.Limits(c.FS)
	if err != nil {
		return target{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	return target{capture: c, limits: limits}, nil
}

// has says whether the capture has data for a model, or for any if it is "".
func (t target) has(model string) bool {
	for _, m := range replay.ModelsOf(t.capture) {
		if model == "" || model == "all" || model == m {
			return true
		}
	}
	return false
}

// resolve finds what one argument names.
func resolve(arg, model string) (list []target, skipped []string, err error) {
	c, err := replay.OpenDir(arg)
	if errors.Is(err, fs.ErrNotExist) {
		t, eerr := embeddedTarget(arg)
		if eerr != nil {
			return nil, nil, fmt.Errorf("%s: neither a folder nor an embedded capture (kernsim captures lists them)", arg)
		}
		return []target{t}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	t, err := newTarget(c)
	if err != nil {
		return nil, nil, err
	}
	if t.has("") {
		return []target{t}, nil, nil
	}
	list, skipped, err = subfolders(arg, model)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s: %w", arg, replay.ErrNothing)
	}
	return list, skipped, err
}

// subfolders finds the captures below a folder. Their names are their paths
// below it.
func subfolders(dir, model string) (list []target, skipped []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		found, err := below(dir, e.Name(), model)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, found...)
		if len(found) == 0 && model == "" {
			skipped = append(skipped, e.Name())
		}
	}
	return list, skipped, nil
}

// maxDepth is how deep captures are looked for in a folder.
const maxDepth = 4

// below finds the captures at dir/sub or, if that is none, below it.
func below(dir, sub, model string) (list []target, err error) {
	if strings.Count(filepath.ToSlash(sub), "/") >= maxDepth {
		return nil, nil
	}
	c, err := replay.OpenDir(filepath.Join(dir, sub))
	if err != nil {
		return nil, err
	}
	c.Name = filepath.ToSlash(sub)
	t, err := newTarget(c)
	if err != nil {
		return nil, err
	}
	if t.has("") {
		if t.has(model) {
			list = append(list, t)
		}
		return list, nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, sub))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		found, err := below(dir, filepath.Join(sub, e.Name()), model)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}
