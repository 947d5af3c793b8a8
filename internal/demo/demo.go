// Package demo plays the theft of an access token, on loopback, with everything real: an issuer, a gateway, an API
// behind it, honest clients, and an attacker who holds a copy of every byte that a client sent and sits in the middle.
//
// Each cell of its table is what happened on the wire: the attacker got in if the API acted on the attacker's request.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// honestCalls is how many calls a column's latency is taken from.
const honestCalls = 300

// Options of Run.
type Options struct {
	Out  io.Writer
	Keep bool // stay up after the table, until the context ends
}

// Run plays every attack against every scheme and prints the table. It fails if a cell isn't as promised.
func Run(ctx context.Context, o Options) error {
	s, err := openStage(ctx)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer s.Close()
	t, err := s.play(ctx)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	t.print(o.Out)
	if o.Keep {
		if err := s.invite(ctx, o.Out); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		<-ctx.Done()
	}
	if wrong := t.wrong(); len(wrong) > 0 {
		return fmt.Errorf("demo: not as promised: %v", wrong)
	}
	return nil
}

// play fills the table: first what honest calls cost, then attack by attack.
func (s *stage) play(ctx context.Context) (*table, error) {
	t := &table{lanes: s.lanes}
	for _, l := range s.lanes {
		p50, p99, err := s.honest(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("%s: an honest call: %w", l.name, err)
		}
		t.p50, t.p99 = append(t.p50, p50), append(t.p99, p99)
	}
	for _, a := range attacks {
		row := row{attack: a}
		for _, l := range s.lanes {
			c, err := s.attack(ctx, a, l)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", a.name, l.name, err)
			}
			row.cells = append(row.cells, c)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// honest measures calls of the lane's own client, over kept connections.
func (s *stage) honest(ctx context.Context, l *lane) (p50, p99 time.Duration, err error) {
	client := l.client(nil)
	took := make([]time.Duration, 0, honestCalls)
	for i := range honestCalls {
		r, err := s.transfer(ctx, l, fmt.Sprintf("honest-%d", i))
		if err != nil {
			return 0, 0, err
		}
		start := time.Now()
		resp, err := client.Do(r)
		if err != nil {
			return 0, 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		took = append(took, time.Since(start))
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return 0, 0, err
		}
		if resp.StatusCode != 200 {
			return 0, 0, fmt.Errorf("answered %s", resp.Status)
		}
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

// attack runs one attack and takes down what came of it.
func (s *stage) attack(ctx context.Context, a attack, l *lane) (cell, error) {
	if a.on != 0 && a.on&l.kind == 0 {
		return cell{none: true}, nil
	}
	got, err := a.run(ctx, s, l)
	if err != nil {
		return cell{}, err
	}
	if !got.in && got.status < 400 {
		return cell{}, fmt.Errorf("answered %d, but the API didn't act", got.status)
	}
	return cell{answer: got, promised: l.open(a)}, nil
}
