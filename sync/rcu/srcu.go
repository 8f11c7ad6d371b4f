package rcu

import "errors"

// SRCU is sleepable RCU (struct srcu_struct): readers may sleep, and each domain waits
// only for its own. Readers count on their CPU, in one of two columns: new ones in the
// column of the index, while a grace period waits until the other one is empty.
type SRCU struct {
	// locks and unlocks are by CPU and column; a reader may leave on another CPU than it
	// came on, so that only the sums tell something.
	locks, unlocks [][2]uint64
	idx            int
	seq            int64
	state          srcuState
}

// srcuState is what a grace period waits for.
type srcuState uint8

const (
	srcuIdle srcuState = iota
	// srcuScan1: the column that is not used, which late readers of the period before
	// may still count in.
	srcuScan1
	// srcuScan2: the column that was used when the period began.
	srcuScan2
)

// ErrColumn says that a reader leaves a column that there is not.
var ErrColumn = errors.New("rcu: srcu_read_unlock with an index that srcu_read_lock did not give")

// NewSRCU makes a domain on a machine of so many CPUs.
func NewSRCU(cpus int) *SRCU {
	return &SRCU{locks: make([][2]uint64, cpus), unlocks: make([][2]uint64, cpus)}
}

// ReadLock enters a reader on a CPU and returns the column, which ReadUnlock needs
// (srcu_read_lock).
func (s *SRCU) ReadLock(cpu int) (int, error) {
	column := s.Index()
	return column, s.Count(cpu, column)
}

// Count is the second half of ReadLock, after [SRCU.Index]: the reader counts in the
// column that it saw, which may no longer be the one in use.
func (s *SRCU) Count(cpu, column int) error {
	switch {
	case cpu < 0 || cpu >= len(s.locks):
		return ErrNotRunning
	case column&^1 != 0:
		return ErrColumn
	}
	s.locks[cpu][column]++
	return nil
}

// ReadUnlock leaves a reader, on whatever CPU it is by now (srcu_read_unlock). More
// leaving a column than came is refused.
func (s *SRCU) ReadUnlock(cpu, column int) error {
	if cpu < 0 || cpu >= len(s.locks) {
		return ErrNotRunning
	}
	if column&^1 != 0 || s.Readers(column) == 0 {
		return ErrColumn
	}
	s.unlocks[cpu][column]++
	return nil
}

// Readers is how many readers there are in a column.
func (s *SRCU) Readers(column int) int {
	n := uint64(0)
	for i := range s.locks {
		n += s.locks[i][column&1] - s.unlocks[i][column&1]
	}
	return int(n)
}

// Index is the column that new readers count in; Seq the grace period's number, whose
// low two bits are not 0 while one runs.
func (s *SRCU) Index() int { return s.idx }
func (s *SRCU) Seq() int64 { return s.seq }

// Start asks for a grace period and returns what [SRCU.Done] needs
// (start_poll_synchronize_srcu).
func (s *SRCU) Start() int64 {
	cookie := snap(s.seq)
	if s.state == srcuIdle {
		s.state = srcuScan1
		s.seq++
	}
	return cookie
}

// Done says whether the grace period of a cookie is over (poll_state_synchronize_srcu).
func (s *SRCU) Done(cookie int64) bool { return s.seq >= cookie }

// Step advances the running grace period by a scan; it is false if readers hold it up
// or none runs. Twice all readers of a column have to be gone: of the one not in use,
// then, with the index turned, of the other (srcu_advance_state). again says that
// another period has to follow.
func (s *SRCU) Step(again bool) bool {
	switch s.state {
	case srcuScan1:
		if s.Readers(s.idx^1) != 0 {
			return false
		}
		s.idx ^= 1
		s.state = srcuScan2
		s.seq++
		return true
	case srcuScan2:
		if s.Readers(s.idx^1) != 0 {
			return false
		}
		s.state = srcuIdle
		s.seq = s.seq&^seqState + seqState + 1
		if again {
			s.state = srcuScan1
			s.seq++
		}
		return true
	}
	return false
}
