package refs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCrash: what the kernel's crash tests print. Fourteen of them are captured
// (captures/reports/console) and compared line by line there; these are the others, and
// one that is.
func TestCrash(t *testing.T) {
	for name, want := range map[string][]string{
		"REFCOUNT_INC_ZERO": {
			"lkdtm: Performing direct entry REFCOUNT_INC_ZERO", "lkdtm: attempting safe refcount_inc_not_zero() from zero",
			"lkdtm: Good: zero detected", "lkdtm: Correctly stayed at zero", "lkdtm: attempting bad refcount_inc() from zero",
			string(WarnAddFromZero), "lkdtm: Zero detected: saturated",
		},
		"REFCOUNT_DEC_NEGATIVE": {
			"lkdtm: Performing direct entry REFCOUNT_DEC_NEGATIVE", "lkdtm: attempting bad refcount_dec() below zero",
			string(WarnLeak), "lkdtm: Negative detected: saturated",
		},
		"REFCOUNT_ADD_OVERFLOW": {
			"lkdtm: Performing direct entry REFCOUNT_ADD_OVERFLOW", "lkdtm: attempting good refcount_add() without overflow",
			"lkdtm: attempting bad refcount_add() overflow", string(WarnSaturated), "lkdtm: Overflow detected: saturated",
		},
		"REFCOUNT_ADD_NOT_ZERO_SATURATED": {
			"lkdtm: Performing direct entry REFCOUNT_ADD_NOT_ZERO_SATURATED", "lkdtm: attempting bad refcount_add_not_zero() from saturated",
			string(WarnSaturated), "lkdtm: Saturation detected: still saturated",
		},
		"INC_ZERO":     nil,
		"REFCOUNT_X":   nil,
		"SLAB_OVERRUN": nil,
	} {
		require.Equal(t, want, Crash(name), name)
	}
	require.Equal(t, []int{19, 22, 25, 28, 31}, []int{
		WarnSaturated.Place(true), WarnSaturated.Place(false), WarnAddFromZero.Place(false), WarnUnderflow.Place(true), WarnLeak.Place(false),
	})
}
