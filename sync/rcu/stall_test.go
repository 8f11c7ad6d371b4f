package rcu

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStallTimes: the ages at which kernels warned. The first is captured, of a
// kernel with PROVE_RCU and 250 jiffies a second; the others are published reports of
// other machines.
func TestStallTimes(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  StallConfig
		self bool
		age  int64
	}{
		{"captured 6.1", StallConfig{HZ: 250, Proving: true}, true, 6500},
		{"4.18, timeout 100", StallConfig{HZ: 1000, Timeout: 100, Proving: true}, true, 105000},
		{"4.17, timeout 100, by another", StallConfig{HZ: 100, Timeout: 100, Proving: true}, false, 10502},
	} {
		clock := StallClock{StallConfig: c.cfg}
		clock.Begin(1000)
		for now := int64(1000); ; now++ {
			what, age := clock.Tick(now, c.self)
			if what == NoWarning {
				continue
			}
			require.Equal(t, c.age, age, c.name)
			require.Equal(t, c.self, what == SelfDetected, c.name)
			again := int64(0)
			for again = now + 1; ; again++ {
				if what, _ = clock.Tick(again, true); what != NoWarning {
					break
				}
			}
			require.Equal(t, 3*c.cfg.Jiffies()+3, again-now, c.name)
			break
		}
		clock.End()
		what, _ := clock.Tick(1<<40, true)
		require.Equal(t, NoWarning, what)
	}
	require.Equal(t, int64(3), StallConfig{HZ: 1, Timeout: 1}.Jiffies())
	require.Equal(t, int64(300), StallConfig{HZ: 1, Timeout: 1000}.Jiffies())
}

// ExampleModel_Stall is a grace period that a preempted reader and a CPU hold up.
func ExampleModel_Stall() {
	m, _ := New(Config{CPUs: 4})
	_ = m.Run(1, 7)
	_ = m.ReadLock(1, 7)
	m.CallRCU(0, 1)
	m.Core(0)
	m.GracePeriod(0) // begins
	_ = m.Run(1, 8)  // preempts the reader
	for cpu := range 3 {
		m.Core(cpu)
		m.Tick(cpu)
		m.Core(cpu)
	}
	fmt.Print(m.Stall(0, 5252).Text())
	// Output:
	// rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
	// rcu: 	3-....: (0 ticks this GP) idle=0000/0/0x0 softirq=0/0 fqs=0
	// rcu: 	Tasks blocked on level-0 rcu_node (CPUs 0-3): P7/1:b..l
	// 	(detected by 0, t=5252 jiffies, g=-1199, q=1 ncpus=4)
}
