package lkmm

import "strings"

// primForm is the shape of a kernel primitive: which of its arguments is the
// variable, which are operands.
type primForm uint8

const (
	primLoad       primForm = iota // (lvalue) or (pointer)
	primStore                      // (lvalue, value) or (pointer, value)
	primFence                      // ()
	primRMW                        // see args
	primLock                       // (pointer)
	primUnlock                     // (pointer)
	primTryLock                    // (pointer)
	primIsLocked                   // (pointer)
	primSrcuLock                   // (pointer)
	primSrcuUnlock                 // (pointer, index)
	primSyncSrcu                   // (pointer)
	primCondLoad                   // (pointer, condition on VAL)
	primNothing                    // no effect in the model
	primInit                       // ATOMIC_INIT(value)
	primTryCompare                 // (pointer, &register, value)
)

// argOrder is the order of an atomic operation's arguments.
type argOrder uint8

const (
	argsPointer           argOrder = iota // (p), operand 1
	argsPointerValue                      // (p, v)
	argsValuePointer                      // (v, p)
	argsPointerOldNew                     // (p, old, new)
	argsPointerValueLimit                 // (p, v, unless)
	argsPointerNotZero                    // (p): 1, unless 0
)

// primitive describes one name of the kernel's API in the terms of the model.
type primitive struct {
	form  primForm
	order accessOrder
	// byName: the variable is written as an lvalue ("*x", "x") as in
	// READ_ONCE(*x), not as a pointer as in smp_load_acquire(x).
	byName  bool
	fence   fenceKind
	then    bool // a store followed by fence (smp_store_mb)
	rmw     rmwKind
	op      operator
	args    argOrder
	compare operator // result is compared with 0 (atomic_dec_and_test)
}

// primitives are the names that are not of the atomic families.
var primitives = map[string]primitive{
	"READ_ONCE":                {form: primLoad, order: orderOnce, byName: true},
	"ACCESS_ONCE":              {form: primLoad, order: orderOnce, byName: true},
	"rcu_dereference":          {form: primLoad, order: orderOnce, byName: true},
	"rcu_dereference_check":    {form: primLoad, order: orderOnce, byName: true},
	"rcu_dereference_raw":      {form: primLoad, order: orderOnce, byName: true},
	"rcu_dereference_bh":       {form: primLoad, order: orderOnce, byName: true},
	"rcu_dereference_sched":    {form: primLoad, order: orderOnce, byName: true},
	"rcu_access_pointer":       {form: primLoad, order: orderOnce, byName: true},
	"lockless_dereference":     {form: primLoad, order: orderOnce, byName: true},
	"srcu_dereference":         {form: primLoad, order: orderOnce, byName: true},
	"smp_load_acquire":         {form: primLoad, order: orderAcquire},
	"WRITE_ONCE":               {form: primStore, order: orderOnce, byName: true},
	"rcu_assign_pointer":       {form: primStore, order: orderRelease, byName: true},
	"RCU_INIT_POINTER":         {form: primStore, order: orderOnce, byName: true},
	"smp_store_release":        {form: primStore, order: orderRelease},
	"smp_store_mb":             {form: primStore, order: orderOnce, byName: true, then: true, fence: fenceMb},
	"set_mb":                   {form: primStore, order: orderOnce, byName: true, then: true, fence: fenceMb},
	"smp_cond_load_relaxed":    {form: primCondLoad, order: orderOnce},
	"smp_cond_load_acquire":    {form: primCondLoad, order: orderAcquire},
	"atomic_cond_read_relaxed": {form: primCondLoad, order: orderOnce},
	"atomic_cond_read_acquire": {form: primCondLoad, order: orderAcquire},

	"smp_mb":                         {form: primFence, fence: fenceMb},
	"smp_wmb":                        {form: primFence, fence: fenceWmb},
	"smp_rmb":                        {form: primFence, fence: fenceRmb},
	"smp_mb__before_atomic":          {form: primFence, fence: fenceBeforeAtomic},
	"smp_mb__after_atomic":           {form: primFence, fence: fenceAfterAtomic},
	"smp_mb__after_spinlock":         {form: primFence, fence: fenceAfterSpinlock},
	"smp_mb__after_unlock_lock":      {form: primFence, fence: fenceAfterUnlockLock},
	"smp_mb__after_srcu_read_unlock": {form: primFence, fence: fenceAfterSrcuUnlock},
	"barrier":                        {form: primFence, fence: fenceCompiler},
	"cpu_relax":                      {form: primFence, fence: fenceCompiler},
	"rcu_read_lock":                  {form: primFence, fence: fenceRcuLock},
	"rcu_read_unlock":                {form: primFence, fence: fenceRcuUnlock},
	"synchronize_rcu":                {form: primFence, fence: fenceSyncRcu},
	"synchronize_rcu_expedited":      {form: primFence, fence: fenceSyncRcu},
	"membarrier":                     {form: primFence, fence: fenceMembarrier},
	"sys_membarrier":                 {form: primFence, fence: fenceMembarrier},
	"smp_memb":                       {form: primFence, fence: fenceMembarrier},
	"smp_read_barrier_depends":       {form: primNothing},
	"spin_lock":                      {form: primLock},
	"spin_unlock":                    {form: primUnlock},
	"spin_trylock":                   {form: primTryLock},
	"spin_is_locked":                 {form: primIsLocked},
	"raw_spin_lock":                  {form: primLock},
	"raw_spin_unlock":                {form: primUnlock},
	"raw_spin_trylock":               {form: primTryLock},
	"raw_spin_is_locked":             {form: primIsLocked},
	"srcu_read_lock":                 {form: primSrcuLock},
	"srcu_down_read":                 {form: primSrcuLock},
	"srcu_read_unlock":               {form: primSrcuUnlock},
	"srcu_up_read":                   {form: primSrcuUnlock},
	"synchronize_srcu":               {form: primSyncSrcu},
	"synchronize_srcu_expedited":     {form: primSyncSrcu},
	"ATOMIC_INIT":                    {form: primInit},
}

// orderSuffixes are the endings that choose an atomic operation's ordering.
var orderSuffixes = []struct {
	suffix string
	order  accessOrder
}{
	{"_relaxed", orderOnce}, {"_acquire", orderAcquire}, {"_release", orderRelease},
}

// lookupPrimitive finds the meaning of a function name; the atomic families
// (atomic_fetch_add_release, cmpxchg_acquire, ...) are taken apart by their
// naming rule.
func lookupPrimitive(name string) (primitive, bool) {
	if p, ok := primitives[name]; ok {
		return p, true
	}
	stem, order := cutOrder(name)
	for _, prefix := range []string{"atomic_long_", "atomic64_", "atomic_"} {
		if rest, ok := strings.CutPrefix(stem, prefix); ok {
			return atomicPrimitive(rest, order, stem != name)
		}
	}
	switch stem {
	case "xchg", "cmpxchg", "try_cmpxchg":
		return exchangePrimitive(stem, order), true
	case "cmpxchg64", "try_cmpxchg64":
		return exchangePrimitive(strings.TrimSuffix(stem, "64"), order), true
	}
	return primitive{}, false
}

func cutOrder(name string) (stem string, order accessOrder) {
	for _, s := range orderSuffixes {
		if stem, ok := strings.CutSuffix(name, s.suffix); ok {
			return stem, s.order
		}
	}
	return name, orderFull
}

func exchangePrimitive(stem string, order accessOrder) primitive {
	switch stem {
	case "xchg":
		return primitive{form: primRMW, rmw: rmwExchange, order: order, args: argsPointerValue}
	case "try_cmpxchg":
		return primitive{form: primTryCompare, order: order}
	}
	return primitive{form: primRMW, rmw: rmwCompare, order: order, args: argsPointerOldNew}
}

// atomicPrimitive resolves what follows "atomic_", its ordering suffix cut
// off; suffixed says whether there was one.
func atomicPrimitive(rest string, order accessOrder, suffixed bool) (primitive, bool) {
	switch rest {
	case "read":
		return primitive{form: primLoad, order: plainAccessOrder(order, suffixed)}, true
	case "set":
		return primitive{form: primStore, order: plainAccessOrder(order, suffixed)}, true
	case "xchg", "cmpxchg", "try_cmpxchg":
		return exchangePrimitive(rest, order), true
	case "inc_not_zero":
		return primitive{form: primRMW, rmw: rmwAddUnless, order: order, op: opAdd, args: argsPointerNotZero}, !suffixed
	case "fetch_add_unless":
		return primitive{form: primRMW, rmw: rmwFetchAddUnless, order: order, op: opAdd, args: argsPointerValueLimit}, !suffixed
	case "add_unless":
		return primitive{form: primRMW, rmw: rmwAddUnless, order: order, op: opAdd, args: argsPointerValueLimit}, !suffixed
	case "add_negative":
		return primitive{form: primRMW, rmw: rmwReturn, order: order, op: opAdd, args: argsValuePointer, compare: opLt}, true
	}
	if stem, ok := strings.CutSuffix(rest, "_and_test"); ok {
		op, args, ok := atomicOperator(stem)
		return primitive{form: primRMW, rmw: rmwReturn, order: order, op: op, args: args, compare: opEq}, ok && !suffixed
	}
	if stem, ok := strings.CutSuffix(rest, "_return"); ok {
		op, args, ok := atomicOperator(stem)
		return primitive{form: primRMW, rmw: rmwReturn, order: order, op: op, args: args}, ok
	}
	if stem, ok := strings.CutPrefix(rest, "fetch_"); ok {
		op, args, ok := atomicOperator(stem)
		return primitive{form: primRMW, rmw: rmwFetch, order: order, op: op, args: args}, ok
	}
	op, args, ok := atomicOperator(rest)
	return primitive{form: primRMW, rmw: rmwNoReturn, order: orderNoReturn, op: op, args: args}, ok && !suffixed
}

// plainAccessOrder is the ordering of atomic_read and atomic_set, which are
// relaxed where no suffix says otherwise.
func plainAccessOrder(order accessOrder, suffixed bool) accessOrder {
	if suffixed {
		return order
	}
	return orderOnce
}

func atomicOperator(name string) (operator, argOrder, bool) {
	switch name {
	case "add":
		return opAdd, argsValuePointer, true
	case "sub":
		return opSub, argsValuePointer, true
	case "inc":
		return opAdd, argsPointer, true
	case "dec":
		return opSub, argsPointer, true
	case "and":
		return opAnd, argsValuePointer, true
	case "or":
		return opOr, argsValuePointer, true
	case "xor":
		return opXor, argsValuePointer, true
	case "andnot":
		return opAndNot, argsValuePointer, true
	}
	return opNone, argsPointer, false
}
