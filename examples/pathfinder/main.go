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
	"flag"
	"fmt"
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
	svg := flag.String("svg", "", "write the graph to `FILE`")
	flag.Parse()
	var runs []timeline
	for _, inherit := range []bool{false, true} {
		t, err := run(inherit)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(t)
		runs = append(runs, t)
	}
	if *svg != "" {
		if err := os.WriteFile(*svg, []byte(graph(runs)), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// timeline is what each task did, a character a ms: # running, = running with the
// mutex, . waiting for the mutex, - ready but not running.
type timeline struct {
	title string
	lines []string
	// took is how long the bus task took, in ms.
	took int
}

// run runs the jobs on one CPU, 1 ms at a time, the runnable task of the highest
// priority first.
func run(inherit bool) (timeline, error) {
	s := lock.NewSystem(len(jobs))
	out := timeline{title: "plain mutex", lines: make([]string, len(jobs))}
	var m mutex = s.NewMutex()
	if inherit {
		m, out.title = s.NewRTMutex(), "rt_mutex with priority inheritance"
	}
	for i, j := range jobs {
		if err := s.SetFIFO(lock.TaskID(i), j.fifo); err != nil {
			return out, err
		}
	}
	done := make([]int, len(jobs))
	for now := range 36 {
		next := pick(s, done, now)
		for i, j := range jobs {
			out.lines[i] += string(mark(s, i, j, done[i], now, next))
		}
		if next < 0 {
			continue
		}
		if err := step(s, m, next, done); err != nil {
			return out, err
		}
		if next == 0 {
			out.took = now + 1 - jobs[0].start
		}
	}
	return out, nil
}

// String prints a timeline.
func (t timeline) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", t.title)
	for i, j := range jobs {
		fmt.Fprintf(&b, "%14s |%s|\n", j.name, t.lines[i])
	}
	fmt.Fprintf(&b, "%s\n\n", t.verdict())
	return b.String()
}

func (t timeline) verdict() string {
	late := "in time"
	if t.took > deadline {
		late = "the watchdog resets the machine"
	}
	return fmt.Sprintf("bus done after %d ms: %s", t.took, late)
}

// colours of what a task does in the graph.
var colours = map[rune]string{'#': "#4477aa", '=': "#228833", '.': "#ee6677", '-': "#cccccc"}

// graph draws timelines as SVG, 15 pixels a ms.
func graph(runs []timeline) string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" width="700" height="270" font-family="sans-serif" font-size="13">` + "\n")
	y := 20
	for _, t := range runs {
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s: %s</text>`+"\n", y, t.title, t.verdict())
		for i, line := range t.lines {
			y += 25
			fmt.Fprintf(&b, `<text x="10" y="%d">%s</text>`+"\n", y, jobs[i].name)
			for ms, c := range line {
				if colour := colours[c]; colour != "" {
					fmt.Fprintf(&b, `<rect x="%d" y="%d" width="15" height="16" fill="%s"/>`+"\n", 130+15*ms, y-13, colour)
				}
			}
		}
		y += 40
	}
	x := 10
	for _, k := range []struct {
		c    rune
		text string
	}{{'#', "runs"}, {'=', "runs with the mutex"}, {'.', "waits for the mutex"}, {'-', "ready, not running"}} {
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="15" height="16" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", x, y-13, colours[k.c], x+20, y, k.text)
		x += 165
	}
	b.WriteString("</svg>\n")
	return b.String()
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

func mark(s *lock.System, i int, j job, done, now, next int) rune {
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
