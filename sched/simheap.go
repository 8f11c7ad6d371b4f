package sched

// simTimer is something that happens at a time. Equal times keep the order in
// which they were asked for.
type simTimer struct {
	at   uint64
	seq  uint64
	id   int32
	gen  uint32
	kind simKind
}

type simKind uint8

const (
	simSegment  simKind = iota // a running task's step ends; id: CPU
	simTick                    // id: CPU
	simWake                    // a sleep ends; id: task
	simStart                   // a task starts; id: task
	simPool                    // id: group
	simSlack                   // id: group
	simRT                      // the period of the real-time budget ends
	simDL                      // id: task
	simInactive                // id: task
	simIRQ                     // id: index of the source
)

// eventHeap is a heap with four children a node, the next event first.
type eventHeap []simTimer

func (e *simTimer) before(o *simTimer) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// at asks for an event.
func (s *Sim) at(when uint64, kind simKind, id int32, gen uint32) {
	s.seq++
	s.heap.push(simTimer{at: when, seq: s.seq, id: id, gen: gen, kind: kind})
}

func (h *eventHeap) push(e simTimer) {
	*h = append(*h, e)
	q := *h
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q[up]) {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = e
}

func (h *eventHeap) pop() simTimer {
	q := *h
	top, e := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	*h = q
	if len(q) == 0 {
		return top
	}
	i := 0
	for {
		least := 4*i + 1
		if least >= len(q) {
			break
		}
		for c := least + 1; c < min(least+4, len(q)); c++ {
			if q[c].before(&q[least]) {
				least = c
			}
		}
		if !q[least].before(&e) {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = e
	return top
}
