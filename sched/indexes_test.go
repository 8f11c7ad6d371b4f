package sched_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/sched"
)

// TestUnknownIndexes calls everything that takes an index with one that the
// machine does not have: what a Machine tells is nothing, and a step that returns
// an error returns a typed one and changes nothing.
func TestUnknownIndexes(t *testing.T) {
	indexes := map[reflect.Type]bool{
		reflect.TypeFor[sched.CPU](): true, reflect.TypeFor[sched.TaskID](): true, reflect.TypeFor[sched.GroupID](): true,
		reflect.TypeFor[sched.QueueID](): true, reflect.TypeFor[sched.EntityID](): true,
	}
	for _, receiver := range []func(m *sched.Machine) reflect.Value{
		func(m *sched.Machine) reflect.Value { return reflect.ValueOf(m) },
		func(m *sched.Machine) reflect.Value { return reflect.ValueOf(m.Kernel()) },
	} {
		s, ids := newSim(t, sched.SimConfig{}, sched.TaskSpec{Comm: "a", Program: hog})
		require.NoError(t, s.Run(10_000_000))
		m := s.Machine()
		v := receiver(m)
		for i := range v.NumMethod() {
			f := v.Type().Method(i)
			returnsError := f.Type.NumOut() > 0 && f.Type.Out(f.Type.NumOut()-1) == reflect.TypeFor[error]()
			if v.Type() == reflect.TypeFor[sched.Kernel]() && !returnsError {
				continue // panics, and says so
			}
			for at := 1; at < f.Type.NumIn(); at++ {
				if !indexes[f.Type.In(at)] {
					continue
				}
				for _, unknown := range []int64{-1, -2, 1000, math.MaxInt32, math.MinInt32} {
					if (f.Name == "SetDonor" || f.Name == "Boost") && at == 2 && unknown == -1 {
						continue // NoTask: no donor
					}
					args := make([]reflect.Value, f.Type.NumIn()-1)
					for j := range args {
						args[j] = reflect.New(f.Type.In(j + 1)).Elem()
						if args[j].Type() == reflect.TypeFor[sched.TaskID]() {
							args[j].SetInt(int64(ids[0]))
						}
					}
					args[at-1].SetInt(unknown)
					call := fmt.Sprintf("%s, argument %d: %d", f.Name, at, unknown)
					before := m.Task(ids[0])
					var out []reflect.Value
					if !assert.NotPanics(t, func() { out = v.Method(i).Call(args) }, call) {
						continue
					}
					if returnsError {
						err, _ := out[len(out)-1].Interface().(error)
						var step *sched.StepError
						var config *sched.ConfigError
						var cgroup *sched.CgroupError
						assert.True(t, errors.As(err, &step) || errors.As(err, &config) || errors.As(err, &cgroup), "%s: %v", call, err)
						assert.Equal(t, before, m.Task(ids[0]), call)
						continue
					}
					for _, o := range out {
						if o.CanInt() && !o.IsZero() {
							assert.EqualValues(t, sched.None, o.Int(), call)
						} else {
							assert.True(t, o.IsZero(), call)
						}
					}
				}
			}
		}
		require.NoError(t, m.Check())
	}
}
