package lockdep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPublicSplats: the cycles and uses of reports that others published are found
// again from the dependencies that they describe. testdata/public_splats.txt has the
// lines of each that tell facts, with where it was published.
func TestPublicSplats(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "public_splats.txt"))
	require.NoError(t, err)
	// What each file's name says, or its list's subject.
	wants := map[string]struct {
		kind  Kind
		cycle []string
		note  string
	}{
		"rpi4-lockdep-circular-6.3-rc1-next": {kind: Circular, cycle: []string{"console_owner", "&port_lock_key", "&n->list_lock"}},
		"rpi5-lockdep-inconsistent-6.10.3":   {kind: Inconsistent, note: "{HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage"},
		"bad-unlock-balance-4.15-report156":  {kind: Unbalanced},
		"circular-4.14-report26":             {kind: Circular, cycle: []string{"&bdev->bd_mutex", "&lo->lo_ctl_mutex#2"}},
		"circular-4.15-report187":            {kind: Circular, cycle: []string{"sk_lock-AF_INET", "&xt[i].mutex", "rtnl_mutex"}},
		"circular-4.17-report250":            {kind: Circular, cycle: []string{"&bdev->bd_mutex", "loop_index_mutex", "&lo->lo_ctl_mutex#2"}},
		"circular-5.5next-report466":         {kind: Circular, cycle: []string{"(wq_completion)wg-kex-wireguard1", "(work_completion)(&peer->transmit_handshake_work)", "&wg->static_identity.lock"}},
		"inconsistent-4.15-report666":        {kind: Inconsistent, note: "{HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage"},
		"inconsistent-5.10-report668":        {kind: Inconsistent, note: "{SOFTIRQ-ON-W} -> {IN-SOFTIRQ-W} usage"},
		"inconsistent-6.1rc5-report678":      {kind: Inconsistent, note: "{IN-HARDIRQ-W} -> {HARDIRQ-ON-W} usage"},
		"irqsafe-4.19-report560":             {kind: HardirqOrder, cycle: []string{"&(&(&mapping->i_pages)->xa_lock)->rlock", "&(&info->lock)->rlock", "shmlock_user_lock", "shmlock_user_lock"}},
		"irqsafe-5.11rc1-report558":          {kind: HardirqOrder, cycle: []string{"&ctx->completion_lock#2", "&ctx->completion_lock#2", "&new->fa_lock", "&new->fa_lock"}},
		"lock-held-returning-4.15-report150": {kind: FreedHeld},
		"recursive-4.16-report234":           {kind: Recursion},
		"rcu-suspicious-4.15-report170":      {kind: SuspiciousRCU},
	}
	parts := strings.Split(string(text), "##### ")[1:]
	require.Len(t, parts, len(wants))
	for _, part := range parts {
		path, body, _ := strings.Cut(part, " | ")
		name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(path, "/report.txt"), "x86-syzkaller-lockdep-rcu/"), ".txt")
		want, ok := wants[name]
		require.True(t, ok, name)
		s, err := ReadSplat(strings.NewReader(body))
		require.NoError(t, err, name)
		require.Equal(t, want.kind, s.Kind, name)
		found, err := s.Explain()
		require.NoError(t, err, name)
		require.Empty(t, s.Differences(found), name)
		if want.kind == SuspiciousRCU {
			require.Nil(t, found) // no dependencies are described
			continue
		}
		require.NotNil(t, found, name)
		require.Equal(t, want.kind, found.Kind, name)
		require.Equal(t, want.note, found.Detail[:len(want.note)], name)
		if want.cycle != nil {
			require.Equal(t, want.cycle, found.Cycle, name)
		}
	}
}
