// Command kernel runs Jupyter notebooks whose cells are Go in gonb's dialect:
// declarations accumulate from cell to cell, "%%" makes the rest of a cell a
// main function, "!" starts a shell and "!*" one in the cells' module. Each
// cell is a program of its own, so values do not pass from cell to cell.
//
//	kernel install              make Jupyter know this kernel
//	kernel run IN.ipynb [OUT]   run a notebook without Jupyter, fail if a cell does
//	kernel connect FILE         serve a connection file (Jupyter does this)
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kernel:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "install":
		return install()
	case len(args) >= 2 && args[0] == "run" && len(args) <= 3:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		out := ""
		if len(args) == 3 {
			out = args[2]
		}
		start := time.Now()
		if err := runNotebook(ctx, args[1], out); err != nil {
			return err
		}
		fmt.Printf("%s: ran in %.1f s\n", args[1], time.Since(start).Seconds())
		return nil
	case len(args) == 2 && args[0] == "connect":
		return serve(context.Background(), args[1])
	}
	return errors.New("use: kernel install | run IN.ipynb [OUT.ipynb] | connect FILE")
}

// install writes the kernel's description to the user's Jupyter folder.
func install() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	data := os.Getenv("JUPYTER_DATA_DIR")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		data = filepath.Join(home, ".local", "share", "jupyter")
	}
	dir := filepath.Join(data, "kernels", "gonb")
	if b, err := os.ReadFile(filepath.Join(dir, "kernel.json")); err == nil && !bytes.Contains(b, []byte(displayName)) {
		dir = filepath.Join(data, "kernels", "kernsim-go") // gonb itself is there: stay beside it
	}
	return writeSpec(dir, self)
}

// displayName is the kernel's name in Jupyter's menus.
const displayName = "Go (kernsim)"

// writeSpec writes kernel.json.
func writeSpec(dir, self string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(map[string]any{
		"argv": []string{self, "connect", "{connection_file}"}, "display_name": displayName, "language": "go", "interrupt_mode": "signal",
	}, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "kernel.json")
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Println("installed", path)
	return nil
}
