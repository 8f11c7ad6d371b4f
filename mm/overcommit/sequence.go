package overcommit

import "errors"

// Sequence answers the rows of a table one after the other. It carries from row
// to row what CPUs count for themselves; a table does not tell that.
type Sequence struct{ a *Accounting }

// Answer lets the model answer a row's request. Where the row says what a kernel
// did, the model does otherwise, and what CPUs may have counted for themselves
// explains it, the kernel's answer is taken over, and hint is true. The error
// is an [Error] with EINVAL.
func (q *Sequence) Answer(r *Row) (out Answer, hint bool, err error) {
	if err := q.begin(r); err != nil {
		return Answer{}, false, err
	}
	before := *q.a
	before.cpus = q.a.cpus.clone()
	err = q.a.Request(r.Kind, r.Bytes, r.Who)
	var refusal *Error
	if err != nil && (!errors.As(err, &refusal) || refusal.Errno != "ENOMEM") {
		return Answer{}, false, err
	}
	if r.Want != nil && r.Want.Allowed != (err == nil) {
		pages := r.Kind.Charge(1+(r.Bytes-1)/before.config.pageSize(), before.config.Mode)
		if before.mayAnswer(r.Want.Allowed, pages, r.Who) {
			hint = true
			*q.a = before
			q.a.cpus.sync()
			if r.Want.Allowed {
				q.a.committed += pages
			}
		}
	}
	out.Allowed = (err == nil) != hint
	if !out.Allowed {
		out.Errno = (&Error{Errno: "ENOMEM"}).Number()
		if r.Kind.Call == Mremap && r.CommittedPages >= r.Kind.From {
			// The table's program unmaps what it could not grow before it
			// looks at Committed_AS.
			if err := q.a.Uncharge(r.Kind.From); err != nil {
				return Answer{}, false, err
			}
		}
	}
	out.CommittedKB = q.a.Committed() * q.a.config.pageSize() >> 10
	return out, hint, nil
}

// begin brings the machine to where a row finds it: its settings, and what was
// charged and given back since the last one.
func (q *Sequence) begin(r *Row) (err error) {
	if q.a == nil {
		q.a, err = New(r.Config, r.CommittedPages)
		return err
	}
	if err := q.a.Set(r.Config); err != nil {
		return err
	}
	q.a.add(r.CommittedPages-q.a.committed, 0)
	return nil
}

// mayAnswer says whether mode 2 can come to an answer, depending on what CPUs
// count for themselves.
func (a *Accounting) mayAnswer(allowed bool, pages int64, who Caller) bool {
	if a.config.Mode != Never || pages == 0 || pages > maxPages-a.committed {
		return false
	}
	least, most := a.cpus.between(pages)
	limit := a.config.Allowance(who)
	if allowed {
		return max(a.committed+pages-most, 0) < limit
	}
	return max(a.committed+pages-least, 0) >= limit
}
