package popsession

import (
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

func BenchmarkOpen(b *testing.B) {
	f := newFixture(b)
	s, _ := f.session(b)
	ticket := s.Ticket()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Open(ticket, audience); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(ticket)), "chars")
}

// BenchmarkOpenForged is what a ticket costs that was never ours but has our secret's id: the work that strangers can
// make us do.
func BenchmarkOpenForged(b *testing.B) {
	f := newFixture(b)
	s, _ := f.session(b)
	raw, err := base64url.Decode(s.Ticket())
	if err != nil {
		b.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	ticket := base64url.Encode(raw)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Open(ticket, audience); err == nil {
			b.Fatal("opened")
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	for _, c := range curves {
		b.Run(string(c), func(b *testing.B) {
			f := newFixture(b)
			_, offered := offer(b, c)
			g := grant()
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.Answer(offered, g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseOffer(b *testing.B) {
	for _, c := range curves {
		b.Run(string(c), func(b *testing.B) {
			o, _ := offer(b, c)
			lines := []string{o.Field()}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseOffer(lines); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkClient is a client's share of beginning a session.
func BenchmarkClient(b *testing.B) {
	for _, c := range curves {
		b.Run(string(c), func(b *testing.B) {
			f := newFixture(b)
			_, field, _ := f.answer(b, grant(), c)
			lines := []string{field}
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				o, err := NewOffer(c)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := o.Accept(lines, binding(), now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
