// Command pathfinder shows priority inversion as it reset the Mars Pathfinder in
// 1997, and how priority inheritance ends it.
//
// Three tasks share one CPU: the bus task must have finished within 10 ms of its
// start, or the watchdog resets the machine. It shares a mutex with the weather
// task, which has the lowest priority. A communication task of a priority in between
// needs no lock, but runs long: with a plain mutex it keeps the weather task from
// giving the mutex back, and so the bus task from running.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/kernsim/kernsim/sync/lock"
)

// job is what a task does: from start on it computes, then takes the mutex, works
// under it and gives it back, then computes the rest; all in ms.
type job struct {
	name              string
	fifo              int
	start             int
	before, held, end int
}

var jobs = []job{
	{name: "bus", fifo: 90, start: 2, before: 1, held: 2, end: 1},
	{name: "communication", fifo: 50, start: 4, before: 20},
	{name: "weather", fifo: 10, start: 0, before: 1, held: 4, end: 2},
}

// deadline is the bus task's, in ms after its start.
const deadline = 10

// mutex is a plain mutex or an rt_mutex.
type mutex interface {
	Lock(lock.TaskID) (lock.Outcome, error)
	Unlock(lock.TaskID) error
}

func main() {
	for _, inherit := range []bool{false, true} {
		if err := run(os.Stdout, inherit); err != nil {
			log.Fatal(err)
		}
	}
}

// run runs the jobs on one CPU, 1 ms at a time, the runnable task of the highest
// priority first, and prints what each did: # running, = running with the mutex,
// . waiting for the mutex, - ready but not running.
func run(w io.Writer, inherit bool) error {
	s := lock.NewSystem(len(jobs))
	var m mutex = s.NewMutex()
	title := "plain mutex"
	if inherit {
		m, title = s.NewRTMutex(), "rt_mutex with priority inheritance"
	}
	for i, j := range jobs {
		if err := s.SetFIFO(lock.TaskID(i), j.fifo); err != nil {
			return err
		}
	}
	lines := make([]strings.Builder, len(jobs))
	done := make([]int, len(jobs))
	finish := 0
	for now := range 36 {
		next := pick(s, done, now)
		for i, j := range jobs {
			lines[i].WriteByte(mark(s, i, j, done[i], now, next))
		}
		if next < 0 {
			continue
		}
		if err := step(s, m, next, done); err != nil {
			return err
		}
		if next == 0 {
			finish = now + 1
		}
	}
	fmt.Fprintf(w, "%s\n", title)
	for i, j := range jobs {
		fmt.Fprintf(w, "%14s |%s|\n", j.name, lines[i].String())
	}
	late := "in time"
	if finish-jobs[0].start > deadline {
		late = "the watchdog resets the machine"
	}
	_, err := fmt.Fprintf(w, "bus done after %d ms: %s\n\n", finish-jobs[0].start, late)
	return err
}

func (j job) length() int { return j.before + j.held + j.end }

// pick chooses who runs.
func pick(s *lock.System, done []int, now int) int {
	best := -1
	for i, j := range jobs {
		t := lock.TaskID(i)
		if now < j.start || done[i] >= j.length() || s.IsBlocked(t) {
			continue
		}
		if best < 0 || s.Priority(t) < s.Priority(lock.TaskID(best)) {
			best = i
		}
	}
	return best
}

func mark(s *lock.System, i int, j job, done, now, next int) byte {
	switch {
	case now < j.start || done >= j.length():
		return ' '
	case s.IsBlocked(lock.TaskID(i)):
		return '.'
	case i != next:
		return '-'
	case done >= j.before && done < j.before+j.held:
		return '='
	}
	return '#'
}

// step lets a task work for 1 ms; at its end it takes or gives back the mutex, if it
// is time to.
func step(s *lock.System, m mutex, i int, done []int) error {
	j, t := jobs[i], lock.TaskID(i)
	done[i]++
	if j.held > 0 && done[i] == j.before {
		if _, err := m.Lock(t); err != nil {
			return err
		}
	}
	if j.held > 0 && done[i] == j.before+j.held {
		if err := m.Unlock(t); err != nil {
			return err
		}
	}
	s.Settle()
	return nil
}
