// Package policy holds no code: its tests check rules that hold for the whole
// module. Which package may import which:
//
//	trace < buddy < slab < mm        trace < sched < sync
//	captures: the standard library only
//	replay, viz: the models (and what go.mod has)
//	cmd, examples, tests: anything
//
// In the models there are no goroutines, no clock, no files, and no loop over a
// map unless a comment says that its order does not matter.
package policy
