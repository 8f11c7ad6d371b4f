package lkmm

// eventKind is what an event does.
type eventKind uint8

const (
	eventNothing    eventKind = iota // a fence that a failed operation does not have
	eventRead                        // memory read
	eventWrite                       // memory write
	eventFence                       // fence without address, see fenceKind
	eventSyncSrcu                    // synchronize_srcu()
	eventSrcuLock                    // srcu_read_lock() where it is no memory access
	eventSrcuUnlock                  // srcu_read_unlock() likewise
	eventGap                         // place between instructions that a membarrier may interrupt
)

// eventFlags are the classes that the model gives an event besides its kind;
// the names are those of herd's lock events.
type eventFlags uint16

const (
	flagAtomic     eventFlags = 1 << iota // of a read-modify-write, also a failed one
	flagLKR                               // read of a spin_lock()
	flagLKW                               // write of a spin_lock()
	flagUL                                // spin_unlock()
	flagLF                                // failed trylock, or spin_is_locked() that says yes
	flagRU                                // spin_is_locked() that says no
	flagSrcuLock                          // srcu_read_lock() as a read
	flagSrcuUnlock                        // srcu_read_unlock() as a write
)

const flagsLock = flagLKR | flagLKW | flagUL | flagLF | flagRU

const flagsSrcu = flagSrcuLock | flagSrcuUnlock

// event is one step of a thread's path.
type event struct {
	kind  eventKind
	order accessOrder
	fence fenceKind
	flags eventFlags
	addr  symID // of accesses and SRCU markers
	val   symID // written value; of a read, its own symbol
	rmw   int32 // the other half of a read-modify-write, or -1
	pos   Pos
	// Reads on which the address, the written value, and the execution of the
	// event depend.
	addrDeps, dataDeps, ctrlDeps bitset
}

func (e *event) isMemory() bool { return e.kind == eventRead || e.kind == eventWrite }

func (e *event) isFence(k fenceKind) bool { return e.kind == eventFence && e.fence == k }

// isPlain says whether e is a plain C access.
func (e *event) isPlain() bool {
	return e.isMemory() && e.order == orderPlain && e.flags&(flagsLock|flagsSrcu) == 0
}

// isAcquire and isRelease: smp_load_acquire() and spin_lock()'s read,
// smp_store_release() and spin_unlock().
func (e *event) isAcquire() bool {
	return e.kind == eventRead && (e.order == orderAcquire || e.flags&flagLKR != 0)
}

func (e *event) isRelease() bool {
	return e.kind == eventWrite && (e.order == orderRelease || e.flags&flagUL != 0)
}

// assertion is a condition that a path depends on: the branch it took.
type assertion struct {
	sym  symID
	want bool // sym is not 0
}

// path is one way through a thread: the branches taken, and what they do.
type path struct {
	syms    symbols
	events  []event
	asserts []assertion
	regs    []symID // final registers
	forks   []fork
}

// fork is a branch taken: from event at on, paths that answered differently may
// differ.
type fork struct {
	at   int
	sym  symID
	want bool
}
