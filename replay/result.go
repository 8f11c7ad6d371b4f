package replay

import "fmt"

// Result is one row: what a replay of one model against one capture came to.
// The JSON names are stable.
type Result struct {
	// Capture is the folder's name; Kernel and Machine are from its meta.json.
	Capture string `json:"capture"`
	Kernel  string `json:"kernel"`
	Machine string `json:"machine"`
	// Model names what was replayed: "pages", ...
	Model string `json:"model"`
	// Requests is how many answers of the kernel were compared (page frames
	// given out, for "pages"); Exact how many were predicted.
	Requests int `json:"requests"`
	Exact    int `json:"exact"`
	// Events counts the compared side effects (for "pages" the events under
	// the zone lock: zone_locked, pcpu_drain, extfrag), in order.
	Events      int `json:"events"`
	EventsExact int `json:"events_exact"`
	// Lists counts the lists compared at the end, element by element.
	Lists          int `json:"lists"`
	ListsIdentical int `json:"lists_identical"`
	// Hints counts answers taken from the trace because no event tells the
	// cause; HintKinds has them by kind.
	Hints     int         `json:"hints"`
	HintKinds []HintCount `json:"hint_kinds,omitempty"`
	// FirstDifference is the first place where model and kernel part, or "".
	FirstDifference string `json:"first_difference"`
	// Notes counts what explains differences, or what else is worth knowing.
	Notes []HintCount `json:"notes,omitempty"`
}

// HintCount is a kind of hint or note and how often it occurred.
type HintCount struct {
	Kind string `json:"kind"`
	N    int    `json:"n"`
}

// ExactAll says whether the replay shows the model equal to the kernel: every
// answer, every side effect, every list.
func (r *Result) ExactAll() bool {
	return r.Exact == r.Requests && r.EventsExact == r.Events && r.ListsIdentical == r.Lists
}

// Share is the part of the requests that were exact, 0 to 1; 1 if there were
// none.
func (r *Result) Share() float64 {
	if r.Requests == 0 {
		return 1
	}
	return float64(r.Exact) / float64(r.Requests)
}

func (r *Result) differ(line int32, text string) {
	if r.FirstDifference == "" {
		r.FirstDifference = text
		if line > 0 {
			r.FirstDifference = fmt.Sprintf("trace line %d: %s", line, text)
		}
	}
}

func (r *Result) hint(kind string) { r.hintN(kind, 1) }

func (r *Result) hintN(kind string, n int) {
	r.Hints += n
	addCount(&r.HintKinds, kind, n)
}

func (r *Result) count(kind string) { addCount(&r.Notes, kind, 1) }

func addCount(list *[]HintCount, kind string, n int) {
	if n == 0 {
		return
	}
	for i := range *list {
		if (*list)[i].Kind == kind {
			(*list)[i].N += n
			return
		}
	}
	*list = append(*list, HintCount{kind, n})
}
