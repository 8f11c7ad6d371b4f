package oom

import "fmt"

// Check proves a verdict's invariants: a victim is one of the tasks, may be
// killed and has the most points of all that may; who dies with it is not init
// and not exempt.
func (v *Verdict) Check(c *Control) error {
	if v.Victim >= len(c.Tasks) || v.Action == ActionKill && v.Victim < 0 {
		return fmt.Errorf("oom: action %s with victim %d of %d", v.Action, v.Victim, len(c.Tasks))
	}
	if len(v.Points) != 0 && len(v.Points) != len(c.Tasks) {
		return fmt.Errorf("oom: points for %d of %d tasks", len(v.Points), len(c.Tasks))
	}
	if (v.Panic != "") != (v.Action == ActionPanic) {
		return fmt.Errorf("oom: action %s, panic %q", v.Action, v.Panic)
	}
	for _, i := range v.Members {
		if t := &c.Tasks[i]; t.OOMScoreAdj == AdjMin || t.has(Init) {
			return fmt.Errorf("oom: group member %d may not be killed", t.PID)
		}
	}
	if v.Action == ActionKill {
		return v.checkVictim(c)
	}
	return nil
}

func (v *Verdict) checkVictim(c *Control) error {
	t := &c.Tasks[v.Victim]
	if t.has(Init | KernelThread) {
		return fmt.Errorf("oom: victim %d is init or a kernel thread", t.PID)
	}
	if t.has(Origin) || v.Message == msgAllocating {
		return nil
	}
	if v.Points[v.Victim] == NotCandidate {
		return fmt.Errorf("oom: victim %d may not be killed", t.PID)
	}
	return nil
}
