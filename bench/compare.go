package bench

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/kernsim/kernsim/buddy"
)

// Confidence is the level of the intervals in comparisons.
const Confidence = 0.95

// Comparison is what strategies did with the streams of one workload.
type Comparison struct {
	Workload *Workload
	Seeds    []uint64
	Rows     []Row
}

// Row is a strategy's part of a comparison.
type Row struct {
	Strategy Named
	// Results are by seed, in the comparison's order.
	Results []*Result
}

// Values are a metric's values by seed.
func (r *Row) Values(m *Metric) []float64 {
	out := make([]float64, len(r.Results))
	for i, res := range r.Results {
		out[i] = m.Of(res)
	}
	return out
}

// Summary is a metric's median over the seeds with its interval.
func (r *Row) Summary(m *Metric) Summary { return Summarize(r.Values(m), Confidence) }

// Against is the median difference to another row, seed by seed on the same
// streams.
func (r *Row) Against(base *Row, m *Metric) Summary {
	return Paired(base.Values(m), r.Values(m), Confidence)
}

// Base is the row that others are compared with: the one of a strategy's name
// or, if there is none, the captured kernel's own, or else the first. It is
// nil if there are no rows.
func (c *Comparison) Base(name string) *Row {
	var exact *Row
	for i := range c.Rows {
		r := &c.Rows[i]
		if r.Strategy.Name == name {
			return r
		}
		if exact == nil && len(r.Results) > 0 && r.Results[0].Exact {
			exact = r
		}
	}
	if exact == nil && len(c.Rows) > 0 {
		exact = &c.Rows[0]
	}
	return exact
}

// CompareOptions choose how much is run.
type CompareOptions struct {
	// Seeds is how many streams of a generated workload are compared; captures
	// have one. 0 means 6, the least for which an interval of 95 % exists.
	Seeds int
	// Jobs is how many runs go on at a time; 0 means one for each core.
	Jobs    int
	Samples int
	// Cache, if set, has the results of runs that were finished before, and
	// gets those of this comparison.
	Cache Cache
	// Progress, if set, is called with the share done; not concurrently.
	Progress func(share float64)
}

// DefaultSeeds is the least number of seeds whose median has an interval of
// 95 %: 1 - 2/2^6.
const DefaultSeeds = 6

// Compare runs strategies with the same streams, side by side. The result does
// not depend on the number of jobs. The error is the context's, or that of the
// first wrong strategy (a [*StrategyError]).
func Compare(ctx context.Context, workloads []*Workload, strategies []Named, o CompareOptions) ([]Comparison, error) {
	if o.Seeds <= 0 {
		o.Seeds = DefaultSeeds
	}
	out := make([]Comparison, len(workloads))
	var jobs []job
	for i, w := range workloads {
		c := &out[i]
		c.Workload = w
		n := 1
		if w.Seeded {
			n = o.Seeds
		}
		for seed := range n {
			c.Seeds = append(c.Seeds, uint64(seed+1))
		}
		for _, s := range strategies {
			c.Rows = append(c.Rows, Row{Strategy: s, Results: make([]*Result, n)})
		}
		for s := range strategies {
			for k := range n {
				jobs = append(jobs, job{c, s, k})
			}
		}
	}
	return out, runJobs(ctx, jobs, o)
}

// job is one run: row and seed of a comparison.
type job struct {
	c         *Comparison
	row, seed int
}

func runJobs(ctx context.Context, jobs []job, o CompareOptions) error {
	n := o.Jobs
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(jobs))
	var keys streamKeys
	var next, done atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) || ctx.Err() != nil {
					return
				}
				j := jobs[i]
				row := &j.c.Rows[j.row]
				row.Results[j.seed], errs[i] = runCached(ctx, row.Strategy, j.c.Workload, j.c.Seeds[j.seed], &o, &keys)
				if errs[i] != nil {
					cancel()
					return
				}
				if o.Progress != nil {
					mu.Lock()
					o.Progress(float64(done.Add(1)) / float64(len(jobs)))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return firstError(ctx, errs)
}

// streamKeys are the streams' keys, each computed once.
type streamKeys struct {
	mu   sync.Mutex
	keys map[streamOf]func() ([]byte, error)
}

type streamOf struct {
	w    *Workload
	seed uint64
}

func (k *streamKeys) of(w *Workload, seed uint64) ([]byte, error) {
	k.mu.Lock()
	if k.keys == nil {
		k.keys = map[streamOf]func() ([]byte, error){}
	}
	f := k.keys[streamOf{w, seed}]
	if f == nil {
		f = sync.OnceValues(func() ([]byte, error) { return streamKey(w, seed) })
		k.keys[streamOf{w, seed}] = f
	}
	k.mu.Unlock()
	return f()
}

// runCached is Run, with the result from the cache if it is there.
func runCached(ctx context.Context, n Named, w *Workload, seed uint64, o *CompareOptions, keys *streamKeys) (*Result, error) {
	if o.Cache == nil {
		return Run(ctx, n, w, seed, Options{Samples: o.Samples})
	}
	stream, err := keys.of(w, seed)
	if err != nil {
		return nil, err
	}
	key := runKey(stream, n.Name, o.Samples)
	if r := o.Cache.Get(key); r != nil {
		return r, nil
	}
	r, err := Run(ctx, n, w, seed, Options{Samples: o.Samples})
	if err != nil {
		return nil, err
	}
	return r, o.Cache.Put(key, r)
}

// firstError prefers a strategy's fault to the cancelling that followed.
func firstError(ctx context.Context, errs []error) error {
	var other error
	for _, err := range errs {
		if _, wrong := err.(*StrategyError); wrong {
			return err
		}
		if other == nil {
			other = err
		}
	}
	if other == nil {
		other = context.Cause(ctx)
	}
	return other
}

// WriteCSV writes a line for each workload, strategy, seed and metric.
func WriteCSV(w io.Writer, all []Comparison) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"workload", "strategy", "seed", "metric", "unit", "value"})
	metrics := Metrics()
	for i := range all {
		for _, row := range all[i].Rows {
			for k, res := range row.Results {
				for m := range metrics {
					_ = out.Write([]string{all[i].Workload.Name, row.Strategy.Name, strconv.FormatUint(all[i].Seeds[k], 10),
						metrics[m].ID, metrics[m].Unit, number(metrics[m].Of(res))})
				}
			}
		}
	}
	out.Flush()
	return out.Error()
}

// WriteSamplesCSV writes a line for each sample: the metrics along time.
func WriteSamplesCSV(w io.Writer, all []Comparison) error {
	out := csv.NewWriter(w)
	head := []string{"workload", "strategy", "seed", "operation", "time_ns", "free_pages", "thp_share", "unusable_order3", "largest_order",
		"mixed_blocks", "unmovable_blocks", "used_blocks", "failed", "locks", "cache_hits", "splits", "merges", "scanned", "lock_work", "cached_pages"}
	for o := range buddy.MaxOrders {
		head = append(head, "free_order"+strconv.Itoa(o))
	}
	_ = out.Write(head)
	for i := range all {
		for _, row := range all[i].Rows {
			for k, res := range row.Results {
				for j := range res.Samples {
					s := &res.Samples[j]
					line := []string{all[i].Workload.Name, row.Strategy.Name, strconv.FormatUint(all[i].Seeds[k], 10)}
					for _, v := range []float64{float64(s.Op), float64(s.Time), float64(s.Free), s.THPShare(), s.Unusable(3), float64(s.Largest()),
						float64(s.Mixed), float64(s.Unmovable), float64(s.Used), float64(s.Failed), float64(s.Counters.Locks),
						float64(s.Counters.CacheHits), float64(s.Counters.Splits), float64(s.Counters.Merges), float64(s.Counters.Scanned),
						float64(s.Counters.LockWork), float64(s.Counters.Cached)} {
						line = append(line, number(v))
					}
					for _, n := range s.Blocks {
						line = append(line, strconv.Itoa(n))
					}
					_ = out.Write(line)
				}
			}
		}
	}
	out.Flush()
	return out.Error()
}

// number writes a value, nothing for one that is missing.
func number(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 10, 64)
}

// The JSON form of a comparison.
type (
	jsonComparison struct {
		Workload string    `json:"workload"`
		About    string    `json:"about"`
		Seeds    []uint64  `json:"seeds"`
		Rows     []jsonRow `json:"strategies"`
	}
	jsonRow struct {
		Name     string       `json:"name"`
		About    string       `json:"about"`
		Source   string       `json:"source"`
		Baseline bool         `json:"exact_baseline"`
		Lists    int          `json:"lists,omitempty"`
		Same     int          `json:"lists_identical,omitempty"`
		Metrics  []jsonMetric `json:"metrics"`
	}
	jsonMetric struct {
		ID         string    `json:"id"`
		Unit       string    `json:"unit,omitempty"`
		Median     *float64  `json:"median"`
		Lo         *float64  `json:"low"`
		Hi         *float64  `json:"high"`
		Confidence float64   `json:"confidence"`
		Values     []float64 `json:"values,omitempty"`
		// Against is the median of the differences to the base, seed by seed.
		Against *jsonDifference `json:"against,omitempty"`
	}
	jsonDifference struct {
		Base    string   `json:"base"`
		Median  *float64 `json:"median"`
		Lo      *float64 `json:"low"`
		Hi      *float64 `json:"high"`
		Differs bool     `json:"differs"`
	}
)

// WriteJSON writes everything but the samples; differences are to the base of a
// name (see [Comparison.Base]).
func WriteJSON(w io.Writer, all []Comparison, against string) error {
	out := []jsonComparison{}
	metrics := Metrics()
	for i := range all {
		c := jsonComparison{Workload: all[i].Workload.Name, About: all[i].Workload.About, Seeds: all[i].Seeds}
		base := all[i].Base(against)
		for k := range all[i].Rows {
			row := &all[i].Rows[k]
			r := jsonRow{Name: row.Strategy.Name, About: row.Strategy.About, Source: row.Strategy.Source,
				Baseline: row.Results[0].Exact, Lists: row.Results[0].Lists, Same: row.Results[0].ListsIdentical}
			for m := range metrics {
				s := row.Summary(&metrics[m])
				var diff *jsonDifference
				if row != base {
					d := row.Against(base, &metrics[m])
					diff = &jsonDifference{base.Strategy.Name, finite(d.Median), finite(d.Lo), finite(d.Hi), d.Differs()}
				}
				r.Metrics = append(r.Metrics, jsonMetric{Against: diff, ID: metrics[m].ID, Unit: metrics[m].Unit, Confidence: s.Confidence,
					Median: finite(s.Median), Lo: finite(s.Lo), Hi: finite(s.Hi), Values: allFinite(row.Values(&metrics[m]))})
			}
			c.Rows = append(c.Rows, r)
		}
		out = append(out, c)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(out)
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func allFinite(in []float64) (out []float64) {
	for _, v := range in {
		if finite(v) != nil {
			out = append(out, v)
		}
	}
	return out
}
