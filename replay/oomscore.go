package replay

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/mm/oom"
)

// procReading is what /proc told of a process at one moment.
type procReading struct {
	line             int
	when, name       string
	score, adj       int64
	hasScore, hasRSS bool
	// Sizes are in kB.
	rss, swap, pte int64
}

// oomScores compares /proc/PID/oom_score, where a file NAME.procs.txt beside a
// log has it, with the model's: a figure among Events each.
func oomScores(c Capture, log string, res *Result) error {
	base, _, _ := strings.Cut(log, ".")
	name := base + ".procs.txt"
	if !c.Has(name) {
		return nil
	}
	r, err := c.plain(name)
	if err != nil {
		return err
	}
	defer r.Close()
	readings, memory, err := readProcs(c.Name+"/"+name, io.LimitReader(r, maxOOMLog))
	if err != nil {
		return err
	}
	slack := hiddenRSS(res.Kernel, zoneinfoCPUs(c, "zoneinfo.txt"))
	for i := range readings {
		p := &readings[i]
		total := memory[p.when+" MemTotal:"] + memory[p.when+" SwapTotal:"]
		if !p.hasScore || !p.hasRSS || total == 0 {
			continue
		}
		compareScore(name, p, total, slack, res)
	}
	return nil
}

// hiddenRSS is by how many pages the resident pages that oom_score is made of may
// be off: since 6.2 each CPU counts pages of each of the three kinds for itself,
// while they are below a batch, and /proc/PID/status may add them up.
func hiddenRSS(kernel string, cpus int) int64 {
	var a, b int
	if n, _ := fmt.Sscanf(kernel, "%d.%d", &a, &b); n < 2 || a < 6 || a == 6 && b < 2 {
		return 0
	}
	return int64(3 * cpus * (max(32, 2*cpus) - 1))
}

func compareScore(file string, p *procReading, totalKB, slack int64, res *Result) {
	res.Events++
	switch got := p.modelScore(totalKB, 0); {
	case got == p.score:
	case p.modelScore(totalKB, -slack) <= p.score && p.score <= p.modelScore(totalKB, slack):
		res.hint("resident pages that CPUs counted for themselves, in an oom_score")
	default:
		res.differ(0, fmt.Sprintf("%s line %d: oom_score of %s: model %d, kernel %d", file, p.line, p.name, got, p.score))
		return
	}
	res.EventsExact++
}

// modelScore is the model's oom_score if there are some more resident pages than
// shown.
func (p *procReading) modelScore(totalKB, more int64) int64 {
	t := oom.Task{PID: 1, Anon: max(p.rss/4+more, 0), Swapents: p.swap / 4, PgtablesBytes: p.pte << 10, OOMScoreAdj: int16(p.adj)}
	c := oom.Control{RAMPages: totalKB / 4, FS: true, Current: -1, Tasks: []oom.Task{t}}
	v := oom.Decide(&c, &oom.Linux6_1, nil)
	return oom.Score(v.Points[0], v.TotalPages)
}

// readProcs reads a file of readings: "PROC WHEN name=NAME pid=PID" with
// indented lines below, and "MEM WHEN FIELD: N kB".
func readProcs(file string, r io.Reader) ([]procReading, map[string]int64, error) {
	var out []procReading
	memory := map[string]int64{}
	s := bufio.NewScanner(r)
	for line := 1; s.Scan(); line++ {
		f := strings.Fields(s.Text())
		switch {
		case len(f) >= 3 && f[0] == "PROC":
			out = append(out, procReading{line: line, when: f[1], name: f[2]})
		case len(f) >= 4 && f[0] == "MEM":
			n, err := strconv.ParseInt(f[3], 10, 40)
			if err != nil || n < 0 {
				return nil, nil, fmt.Errorf("replay: %s:%d: found %q, want a size in kB", file, line, f[3])
			}
			memory[f[1]+" "+f[2]] = n
		case strings.HasPrefix(s.Text(), "  ") && len(f) >= 2 && len(out) > 0:
			if !out[len(out)-1].set(f[0], f[1]) {
				return nil, nil, fmt.Errorf("replay: %s:%d: found %q, want a number for %s", file, line, f[1], f[0])
			}
		}
	}
	return out, memory, s.Err()
}

// set notes a line of a reading.
func (p *procReading) set(field, text string) bool {
	var to *int64
	switch field {
	case "oom_score":
		to, p.hasScore = &p.score, true
	case "oom_score_adj":
		to = &p.adj
	case "VmRSS:":
		to, p.hasRSS = &p.rss, true
	case "VmSwap:":
		to = &p.swap
	case "VmPTE:":
		to = &p.pte
	default:
		return true
	}
	n, err := strconv.ParseInt(text, 10, 40)
	*to = n
	return err == nil && n >= oom.AdjMin && (field != "oom_score_adj" || n <= oom.AdjMax)
}
