package revocation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

var epoch = time.Unix(1_800_000_000, 0)

// fixture is a Set whose clock stands still.
type fixture struct {
	*Set
	now time.Time
}

func newFixture(tb testing.TB, entries int) *fixture {
	tb.Helper()
	f := &fixture{now: epoch}
	var err error
	if f.Set, err = NewSet(SetConfig{Entries: entries, Now: func() time.Time { return f.now }}); err != nil {
		tb.Fatal(err)
	}
	return f
}

// revoke is for a minute.
func (f *fixture) revoke(n Name) error {
	return f.Revoke(context.Background(), Entry{Name: n, Until: f.now.Add(time.Minute)})
}

// revoked tells which of names is.
func (f *fixture) revoked(tb testing.TB, names ...Name) Name {
	tb.Helper()
	n, ok, err := f.Find(tb.Context(), names)
	if err != nil || ok != (n != Name{}) {
		tb.Fatalf("got %s, %t, %v", n, ok, err)
	}
	return n
}

// reason checks that err is an *Error with this reason.
func reason(tb testing.TB, err error, want Reason) {
	tb.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != want {
		tb.Fatalf("got %v, want %s", err, want)
	}
}

const issuer = "https://as.example"

// names has one of each kind.
var names = map[Kind]Name{
	KindToken: Token(issuer, "t1"), KindTokenHash: TokenHash([32]byte{1}), KindSession: Session([16]byte{1}),
	KindKey: Key(keys.Thumbprint{1}), KindClient: Client(issuer, "shop"), KindSubject: Subject(issuer, "alice"),
}

// TestRevoke: of names that differ in one thing, exactly the one that was revoked is.
func TestRevoke(t *testing.T) {
	others := []Name{
		Token(issuer, "t2"), Token("https://other.example", "t1"), TokenHash([32]byte{2}), Session([16]byte{2}), Key(keys.Thumbprint{2}),
		Client(issuer, "t1"), Client("https://other.example", "shop"), Subject(issuer, "shop"), Subject("https://other.example", "alice"), {},
	}
	for kind, n := range names {
		t.Run(string(kind), func(t *testing.T) {
			f := newFixture(t, 0)
			if got := f.revoked(t, n); got != (Name{}) {
				t.Errorf("%s is revoked before it was", got)
			}
			if err := f.revoke(n); err != nil {
				t.Fatal(err)
			}
			for other, m := range names {
				if other != kind {
					if got := f.revoked(t, m); got != (Name{}) {
						t.Errorf("%s is revoked as well", got)
					}
				}
			}
			if got := f.revoked(t, others...); got != (Name{}) {
				t.Errorf("%s is revoked as well", got)
			}
			if got := f.revoked(t, append(others, n)...); got != n {
				t.Errorf("got %s, want %s", got, n)
			}
			f.now = f.now.Add(time.Minute)
			if got := f.revoked(t, n); got != (Name{}) {
				t.Errorf("%s is revoked after its time", got)
			}
		})
	}
}

func TestRevokeRefused(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for _, tc := range []struct {
		name string
		e    Entry
		want Reason
	}{
		{"nothing", Entry{Until: epoch.Add(1)}, Incomplete},
		{"token without id", Entry{Token(issuer, ""), epoch.Add(1)}, Incomplete},
		{"client without issuer", Entry{Client("", "shop"), epoch.Add(1)}, Incomplete},
		{"no hash", Entry{TokenHash([32]byte{}), epoch.Add(1)}, Incomplete},
		{"no key", Entry{Key(keys.Thumbprint{}), epoch.Add(1)}, Incomplete},
		{"no session", Entry{Session([16]byte{}), epoch.Add(1)}, Incomplete},
		{"long id", Entry{Token(issuer, long), epoch.Add(1)}, TooLong},
		{"long issuer", Entry{Subject(long, "a"), epoch.Add(1)}, TooLong},
		{"not UTF-8", Entry{Subject(issuer, "\xff"), epoch.Add(1)}, Malformed},
		{"no time", Entry{Name: Token(issuer, "a")}, Over},
		{"time that is over", Entry{Token(issuer, "a"), epoch}, Over},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, 0)
			reason(t, f.Revoke(t.Context(), tc.e), tc.want)
			if f.Len() != 0 {
				t.Error("something is remembered")
			}
		})
	}
	f := newFixture(t, 0)
	if err := f.Revoke(t.Context(), Entry{Token(issuer, long[1:]), epoch.Add(1)}); err != nil {
		t.Errorf("the longest id: %v", err)
	}
}

// TestLongerTimeCounts: a revocation can't be shortened.
func TestLongerTimeCounts(t *testing.T) {
	f := newFixture(t, 0)
	n := names[KindKey]
	for _, d := range []time.Duration{time.Minute, time.Hour, time.Second} {
		if err := f.Revoke(t.Context(), Entry{n, epoch.Add(d)}); err != nil {
			t.Fatal(err)
		}
	}
	f.now = epoch.Add(time.Hour - 1)
	if got := f.revoked(t, n); got != n {
		t.Error("the shorter time counts")
	}
	if f.Len() != 1 {
		t.Errorf("%d entries, want 1", f.Len())
	}
}

// TestFull: what hasn't ended stays, and what has makes room.
func TestFull(t *testing.T) {
	f := newFixture(t, 3)
	for i := range 3 {
		e := Entry{Token(issuer, fmt.Sprint(i)), epoch.Add(time.Duration(3-i) * time.Minute)}
		if err := f.Revoke(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	reason(t, f.revoke(Token(issuer, "new")), Full)
	if err := f.revoke(Token(issuer, "1")); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	f.now = epoch.Add(time.Minute)
	if err := f.revoke(Token(issuer, "new")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"0", "1", "new"} {
		if got := f.revoked(t, Token(issuer, id)); got == (Name{}) {
			t.Errorf("%s was forgotten", id)
		}
	}
	if f.Len() != 3 {
		t.Errorf("%d entries, want 3", f.Len())
	}
}

func TestSetConfig(t *testing.T) {
	for _, n := range []int{-1, maxEntries + 1} {
		if _, err := NewSet(SetConfig{Entries: n}); err == nil {
			t.Errorf("%d entries were accepted", n)
		}
	}
}

func TestWatch(t *testing.T) {
	f := newFixture(t, 0)
	var told []Name
	stop := f.Watch([]Name{names[KindToken], names[KindKey], {}}, func(n Name) { told = append(told, n) })
	defer stop()
	for _, n := range []Name{names[KindClient], names[KindKey], names[KindKey], names[KindToken]} {
		if err := f.revoke(n); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || told[0] != names[KindKey] {
		t.Errorf("got %v, want the key, once", told)
	}
	if len(f.watches) != 0 {
		t.Errorf("%d names are still watched", len(f.watches))
	}
}

func TestWatchOfWhatIsRevoked(t *testing.T) {
	f := newFixture(t, 0)
	if err := f.revoke(names[KindToken]); err != nil {
		t.Fatal(err)
	}
	var told []Name
	f.Watch([]Name{names[KindKey], names[KindToken]}, func(n Name) { told = append(told, n) })()
	if len(told) != 1 || told[0] != names[KindToken] {
		t.Errorf("got %v, want the token", told)
	}
}

func TestWatchStopped(t *testing.T) {
	f := newFixture(t, 0)
	stop := f.Watch([]Name{names[KindKey]}, func(Name) { t.Error("called after stop") })
	others := f.Watch([]Name{names[KindKey]}, func(Name) {})
	stop()
	stop()
	if err := f.revoke(names[KindKey]); err != nil {
		t.Fatal(err)
	}
	others()
	if len(f.watches) != 0 {
		t.Errorf("%d names are still watched", len(f.watches))
	}
}

// TestNoWatchMissesARevocation: whichever comes first, the watch is told.
func TestNoWatchMissesARevocation(t *testing.T) {
	f := newFixture(t, 0)
	const rounds = 2000
	var told atomic.Int64
	for i := range rounds {
		n := Token(issuer, fmt.Sprint(i))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := f.revoke(n); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { f.Watch([]Name{n, names[KindClient]}, func(Name) { told.Add(1) }) })
		wg.Wait()
	}
	if got := told.Load(); got != rounds {
		t.Errorf("%d of %d were told", got, rounds)
	}
	if len(f.watches) != 0 {
		t.Errorf("%d names are still watched", len(f.watches))
	}
}

// TestSetAgainstModel runs revocations that come, are renewed and end beside a plain map.
func TestSetAgainstModel(t *testing.T) {
	const most = 50
	f := newFixture(t, most)
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[Name]time.Time{}
	full := 0
	for range 100_000 {
		f.now = f.now.Add(time.Duration(rng.IntN(100)) * time.Millisecond)
		n := Token(issuer, fmt.Sprint(rng.IntN(200)))
		if rng.IntN(2) == 0 {
			want := model[n].After(f.now)
			if got := f.revoked(t, n) == n; got != want {
				t.Fatalf("%s: got revoked %t, want %t", n, got, want)
			}
			continue
		}
		live := 0
		for m, until := range model {
			if until.After(f.now) {
				live++
			} else {
				delete(model, m)
			}
		}
		_, there := model[n]
		until := f.now.Add(time.Duration(1+rng.IntN(10_000)) * time.Millisecond)
		err := f.Revoke(t.Context(), Entry{n, until})
		if wantFull := !there && live >= most; wantFull {
			full++
			reason(t, err, Full)
			continue
		}
		if err != nil {
			t.Fatalf("%d live: %v", live, err)
		}
		if until.After(model[n]) {
			model[n] = until
		}
	}
	if full < 1000 {
		t.Errorf("the set was full %d times: too few to test", full)
	}
}

func TestFindAllocs(t *testing.T) {
	f := newFixture(t, 0)
	if err := f.revoke(names[KindClient]); err != nil {
		t.Fatal(err)
	}
	asked := []Name{names[KindToken], names[KindKey], names[KindSubject]}
	if got := testing.AllocsPerRun(100, func() { f.revoked(t, asked...) }); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{0, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFixture(b, 0)
			for i := range n {
				if err := f.revoke(Token(issuer, fmt.Sprint(i))); err != nil {
					b.Fatal(err)
				}
			}
			var list List = f
			asked := []Name{names[KindToken], names[KindTokenHash], names[KindSession], names[KindKey], names[KindClient], names[KindSubject]}
			b.ReportAllocs()
			for b.Loop() {
				if _, found, err := list.Find(b.Context(), asked); found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
}
