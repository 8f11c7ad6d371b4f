package lkmm

// symID is the index of a symbol in its path's arena.
type symID int32

const noSym symID = -1

type symKind uint8

const (
	symConst  symKind = iota
	symRead           // the value that event a of the path reads
	symUnary          // op a
	symBinary         // a op b
)

// symbol is a value that may depend on what the path's reads return.
type symbol struct {
	kind  symKind
	op    operator
	a, b  symID
	value Value
}

// maxSymbolWeight bounds the operands of an expression with everything that
// its operands were computed from, so that "r = r + r", again and again, does
// not take forever to evaluate.
const maxSymbolWeight = 1 << 12

// symbols is the arena of a path. Equal symbols have equal ids, so that
// "r1 ^ r1" is 0 and a condition asked twice is answered once.
type symbols struct {
	list    []symbol
	weights []int32
	index   map[symbol]symID
	// tooHeavy: some symbol is beyond maxSymbolWeight.
	tooHeavy bool
}

func newSymbols() symbols { return symbols{index: map[symbol]symID{}} }

func (s *symbols) intern(x symbol) symID {
	if id, ok := s.index[x]; ok {
		return id
	}
	id := symID(len(s.list))
	s.list = append(s.list, x)
	s.weights = append(s.weights, s.weigh(x))
	s.index[x] = id
	return id
}

// weigh counts a symbol's operands.
func (s *symbols) weigh(x symbol) int32 {
	w := int32(1)
	if x.kind == symUnary || x.kind == symBinary {
		w += s.weights[x.a]
	}
	if x.kind == symBinary {
		w += s.weights[x.b]
	}
	if w > maxSymbolWeight {
		s.tooHeavy = true
	}
	return min(w, maxSymbolWeight)
}

func (s *symbols) constant(v Value) symID { return s.intern(symbol{kind: symConst, value: v}) }

func (s *symbols) read(event int) symID { return s.intern(symbol{kind: symRead, a: symID(event)}) }

// known gives the value of a symbol that depends on no read.
func (s *symbols) known(id symID) (Value, bool) {
	x := s.list[id]
	return x.value, x.kind == symConst
}

func (s *symbols) unary(op operator, a symID) symID {
	if v, ok := s.known(a); ok {
		return s.constant(applyUnary(op, v))
	}
	return s.intern(symbol{kind: symUnary, op: op, a: a})
}

func (s *symbols) binary(op operator, a, b symID) symID {
	va, aok := s.known(a)
	vb, bok := s.known(b)
	if aok && bok {
		return s.constant(applyBinary(op, va, vb))
	}
	if v, ok := sameOperands(op); ok && a == b {
		return s.constant(v)
	}
	if absorbs(op, va, aok) || absorbs(op, vb, bok) {
		return s.constant(0)
	}
	if bok && vb == 0 && (op == opAdd || op == opSub || op == opOr || op == opXor) {
		return a
	}
	if aok && va == 0 && (op == opAdd || op == opOr || op == opXor) {
		return b
	}
	return s.intern(symbol{kind: symBinary, op: op, a: a, b: b})
}

// sameOperands is the value of x op x where it does not depend on x.
func sameOperands(op operator) (Value, bool) {
	switch op {
	case opXor, opSub, opAndNot, opNe, opLt, opGt:
		return 0, true
	case opEq, opLe, opGe:
		return 1, true
	}
	return 0, false
}

// absorbs says whether a known 0 makes the whole product 0.
func absorbs(op operator, v Value, known bool) bool {
	return known && v == 0 && (op == opAnd || op == opMul || op == opLogAnd)
}

func applyUnary(op operator, a Value) Value {
	switch op {
	case opNot:
		return boolValue(a == 0)
	case opInvert:
		return ^a
	}
	return -a
}

// applyBinary computes a op b. Division by zero, undefined in C, gives 0;
// shift counts are taken modulo 64.
func applyBinary(op operator, a, b Value) Value {
	switch op {
	case opAdd:
		return a + b
	case opSub:
		return a - b
	case opMul:
		return a * b
	case opDiv, opMod:
		return divide(op, a, b)
	case opAnd:
		return a & b
	case opOr:
		return a | b
	case opXor:
		return a ^ b
	case opAndNot:
		return a &^ b
	case opShl:
		return a << (uint64(b) & 63)
	case opShr:
		return a >> (uint64(b) & 63)
	}
	return boolValue(compareValues(op, a, b))
}

func divide(op operator, a, b Value) Value {
	switch {
	case b == 0:
		return 0
	case op == opDiv:
		return a / b
	}
	return a % b
}

func compareValues(op operator, a, b Value) bool {
	switch op {
	case opEq:
		return a == b
	case opNe:
		return a != b
	case opLt:
		return a < b
	case opLe:
		return a <= b
	case opGt:
		return a > b
	case opGe:
		return a >= b
	case opLogAnd:
		return a != 0 && b != 0
	case opLogOr:
		return a != 0 || b != 0
	}
	return false
}
