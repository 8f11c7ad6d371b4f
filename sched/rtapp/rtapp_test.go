package rtapp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/rtapp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const example = `{
 "global": {"duration": 2, "default_policy": "SCHED_OTHER", "logdir": "./"},
 "tasks": {
  "video": {"priority": -5, "run": 4000, "timer": {"ref": "unique", "period": 16000}},
  "audio": {"policy": "SCHED_FIFO", "priority": 60, "cpus": [0], "run": 300, "timer": {"period": 5000}},
  "dl": {"policy": "SCHED_DEADLINE", "dl-runtime": 2000, "dl-period": 10000, "run": 1500, "timer": {"period": 10000}},
  "build": {"instance": 2, "delay": 100, "loop": -1, "phases": {"a": {"loop": 3, "run": 1000, "sleep": 500}, "b": {"run2": 7000, "resume": "x"}}},
  "sink": {"suspend": "x", "run": 10, "yield": ""},
  "once": {"loop": 1, "run": 5, "fork": {"ref": "sink"}}
 }
}`

func TestRead(t *testing.T) {
	w, err := rtapp.Read(strings.NewReader(example), "example.json")
	require.NoError(t, err)
	assert.Equal(t, uint64(2_000_000_000), w.Duration)
	require.Len(t, w.Specs, 7)
	assert.Equal(t, sched.Attr{Nice: -5}, w.Specs[0].Attr)
	assert.Equal(t, sched.Program{sched.Compute(4_000_000), sched.Every(16_000_000), {Op: sched.OpRepeat}}, w.Specs[0].Program)
	assert.Equal(t, sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 60}, w.Specs[1].Attr)
	assert.Equal(t, sched.Attr{Policy: sched.PolicyDeadline, Runtime: 2_000_000, Deadline: 10_000_000, Period: 10_000_000}, w.Specs[2].Attr)
	assert.Equal(t, "build-1", w.Specs[4].Comm)
	assert.Equal(t, sched.Program{sched.Compute(1_000_000), sched.Sleep(500_000), {Op: sched.OpRepeat, N: 3}, sched.Compute(7_000_000), sched.Send(0),
		{Op: sched.OpRepeat}}, w.Specs[4].Program)
	assert.Equal(t, sched.Step{Op: sched.OpFork, N: 5}, w.Specs[6].Program[1])

	s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 2, Profile: sched.Linux6_1}, Specs: w.Specs})
	require.NoError(t, err)
	ids, err := s.SpawnAll()
	require.NoError(t, err)
	require.NoError(t, s.Run(w.Duration))
	assert.InDelta(t, 125, s.Times(ids[0]).Wakeups, 1)
	assert.True(t, s.Exited(ids[6]))
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                            "expected a JSON object",
		`{"tasks": {}}`:                 "no task",
		`{"task": {}}`:                  "global, tasks or resources",
		`{}`:                            "an object with the tasks",
		`{"tasks": {"a": {}}}`:          "tasks.a: found no step",
		`{"tasks": {"a": {"run": -1}}}`: "tasks.a.run: found -1",
		`{"tasks": {"a": {"walk": 1}}}`: "tasks.a.walk: found a key of that name",
		`{"tasks": {"a": {"policy": "FAST", "run": 1}}}`:     "found FAST",
		`{"tasks": {"a": {"priority": 20, "run": 1}}}`:       "from -20 to 19",
		`{"tasks": {"a": {"cpus": [], "run": 1}}}`:           "a list of CPU numbers",
		`{"tasks": {"a": {"cpus": [-1], "run": 1}}}`:         "from 0 to 8191",
		`{"tasks": {"a": {"timer": 5}}}`:                     `an object with a "period"`,
		`{"tasks": {"a": {"fork": "b"}}}`:                    "the name of a task",
		`{"tasks": {"a": {"phases": {"p": 3}}}}`:             "tasks.a.phases.p",
		`{"tasks": {"a": {"instance": 99999999, "run": 1}}}`: "from 0 to 65536",
	} {
		_, err := rtapp.Read(strings.NewReader(text), "x.json")
		var bad *rtapp.Error
		require.ErrorAs(t, err, &bad, text)
		assert.ErrorContains(t, err, want, text)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(example)
	f.Add(`{"tasks": {"a": {"instance": 3, "loop": 2, "run": 5, "suspend": "q"}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		w, err := rtapp.Read(strings.NewReader(text), "fuzz")
		if err != nil || len(w.Specs) > 50 {
			return
		}
		s, err := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 2, Profile: sched.Linux6_1}, Specs: w.Specs})
		if err != nil {
			return
		}
		if _, err := s.SpawnAll(); err == nil && s.Run(2_000_000) == nil {
			require.NoError(t, s.Machine().Check())
		}
	})
}

func ExampleRead() {
	w, err := rtapp.Read(strings.NewReader(`{"tasks": {"hog": {"run": 10000}, "nice": {"priority": 5, "run": 10000}}}`), "two.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, _ := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: sched.Linux6_1}, Specs: w.Specs})
	ids, _ := s.SpawnAll()
	_ = s.Run(10_000_000_000)
	for _, id := range ids {
		fmt.Printf("%-5s %.1f%%\n", s.Comm(id), float64(s.Times(id).Run)/1e8)
	}
	// Output:
	// hog   75.3%
	// nice  24.7%
}
