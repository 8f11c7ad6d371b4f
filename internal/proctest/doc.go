// Package proctest reads kernsim's texts of /proc files with the parsers that
// others wrote for the kernel's files. It is a module of its own because those
// need a newer Go than kernsim does.
package proctest
