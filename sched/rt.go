package sched

type rtEntity struct{}

func (r *rtEntity) init() {}

type rtQueue struct{}

func (r *rtQueue) init() {}

type dlEntity struct{}

func (r *dlEntity) init() {}

type dlQueue struct{}

func (r *dlQueue) init()                                       {}
func (m *Machine) rtEnqueue(rq *runQueue, t TaskID, flags int) {}
func (m *Machine) rtDequeue(rq *runQueue, t TaskID, flags int) {}
func (m *Machine) rtPutPrev(rq *runQueue, t TaskID)            {}
func (m *Machine) rtSetNext(rq *runQueue, t TaskID)            {}
func (m *Machine) rtCheckPreempt(rq *runQueue, t TaskID)       {}
func (m *Machine) dlEnqueue(rq *runQueue, t TaskID, flags int) {}
func (m *Machine) dlDequeue(rq *runQueue, t TaskID, flags int) {}
func (m *Machine) dlPutPrev(rq *runQueue, t TaskID)            {}
func (m *Machine) dlSetNext(rq *runQueue, t TaskID)            {}
func (m *Machine) dlCheckPreempt(rq *runQueue, t TaskID)       {}

func (r *rtEntity) onRQ() bool                                   { return false }
func (m *Machine) rtTick(rq *runQueue, t TaskID)                 {}
func (m *Machine) rtYield(rq *runQueue)                          {}
func (m *Machine) rtPrioChanged(rq *runQueue, t TaskID, old int) {}
func (m *Machine) rtSwitchedTo(rq *runQueue, t TaskID)           {}
func (m *Machine) dlTick(rq *runQueue, t TaskID)                 {}
func (m *Machine) dlYield(rq *runQueue)                          {}
