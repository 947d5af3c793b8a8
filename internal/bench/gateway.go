package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// LoadResult is one way to an API at one number of connections. Each connection has one request under way. All figures
// are medians over rounds, and ratios those to the bare proxy in the same round.
type LoadResult struct {
	Way            string        `json:"way"` // "bare proxy" is what ratios are to
	Connections    int           `json:"connections"`
	PerSecond      float64       `json:"requests_per_second"`
	P50            time.Duration `json:"p50_ns"`
	P90            time.Duration `json:"p90_ns"`
	P99            time.Duration `json:"p99_ns"`
	Processor      time.Duration `json:"processor_ns"`    // that client, servers and API together use for a request, if Report.Clock is "processor"
	Ratio          float64       `json:"ratio"`           // of requests per second
	P50Ratio       float64       `json:"p50_ratio"`       // of the 50th percentiles
	ProcessorRatio float64       `json:"processor_ratio"` // of processor time
}

// Load sends requests of one client to an API directly, through a bare httputil.ReverseProxy, and through the gateway, on
// loopback, over so many kept connections: slices of about length, in turns, for so many rounds, until ctx ends. Client,
// servers and API share this machine. progress is told before each round.
func Load(ctx context.Context, connections, rounds int, length time.Duration, progress func(round int)) ([]LoadResult, error) {
	s, err := openStreet(ctx)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	results, err := s.measure(ctx, connections, rounds, length, progress)
	return results, errors.Join(err, s.end())
}

func (s *street) measure(ctx context.Context, connections, rounds int, length time.Duration, progress func(round int)) ([]LoadResult, error) {
	lanes := make([]*lane, len(s.ways))
	for i, w := range s.ways {
		l, err := newLane(w, connections)
		if err != nil {
			return nil, err
		}
		defer l.pool.close()
		if err := l.calibrate(length); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		lanes[i] = l
	}
	for round := range rounds {
		progress(round)
		for i := range lanes {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			// Another way begins each round, so that none always follows the same other.
			l := lanes[(i+round)%len(lanes)]
			if err := l.slice(); err != nil {
				return nil, fmt.Errorf("%s: %w", l.way.name, err)
			}
		}
	}
	base := lanes[slices.IndexFunc(lanes, func(l *lane) bool { return l.way.name == wayProxy })]
	results := make([]LoadResult, len(lanes))
	for i, l := range lanes {
		results[i] = l.result(base)
		results[i].Connections = connections
	}
	return results, nil
}

// lane is a way under measurement.
type lane struct {
	way       way
	pool      pool
	requests  int // in a slice
	stock     stock
	latencies []time.Duration
	perSecond []float64 // by round, as those below
	p         [3][]time.Duration
	processor []float64 // ns of a request
}

// percentiles are those that a lane keeps.
var percentiles = [3]int{50, 90, 99}

func newLane(w way, connections int) (*lane, error) {
	p, err := dialPool(w.address, connections)
	return &lane{way: w, pool: p}, err
}

// calibrate finds how many requests fill a slice. It warms up what there is to be warmed.
func (l *lane) calibrate(length time.Duration) error {
	for l.requests = 4 * len(l.pool); ; l.requests *= 2 {
		took, err := l.send()
		if err != nil {
			return err
		}
		if took >= length/4 {
			l.requests = max(len(l.pool), int(float64(l.requests)*float64(length)/float64(took)))
			return nil
		}
	}
}

// send makes a slice's requests and sends them.
func (l *lane) send() (took time.Duration, err error) {
	if err := l.stock.fill(l.requests, l.way.sign); err != nil {
		return 0, err
	}
	took, l.latencies, err = l.pool.send(&l.stock, l.latencies[:0])
	return took, err
}

// slice sends for about the calibrated time and notes what it took.
func (l *lane) slice() error {
	if err := l.stock.fill(l.requests, l.way.sign); err != nil {
		return err
	}
	before := processorTime()
	took, latencies, err := l.pool.send(&l.stock, l.latencies[:0])
	if err != nil {
		return err
	}
	l.latencies = latencies
	l.processor = append(l.processor, float64(processorTime()-before)/float64(l.requests))
	l.perSecond = append(l.perSecond, float64(l.requests)/took.Seconds())
	slices.Sort(l.latencies)
	for i, p := range percentiles {
		l.p[i] = append(l.p[i], l.latencies[(len(l.latencies)-1)*p/100])
	}
	return nil
}

func (l *lane) result(base *lane) LoadResult {
	var ratios, p50s, processors []float64
	for i := range l.perSecond {
		ratios = append(ratios, l.perSecond[i]/base.perSecond[i])
		processors = append(processors, l.processor[i]/max(base.processor[i], 1))
		p50s = append(p50s, float64(l.p[0][i])/float64(base.p[0][i]))
	}
	return LoadResult{
		Way: l.way.name, PerSecond: median(l.perSecond), P50: median(l.p[0]), P90: median(l.p[1]), P99: median(l.p[2]),
		Processor: time.Duration(median(l.processor)), Ratio: median(ratios), P50Ratio: median(p50s), ProcessorRatio: median(processors),
	}
}
