package popsession

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// sealed returns an honest ticket, decoded.
func (f *fixture) sealed(tb testing.TB) []byte {
	tb.Helper()
	s, _ := f.session(tb)
	b, err := base64url.Decode(s.Ticket())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestTicketTampered: no octet of a ticket can be changed, left out or added.
func TestTicketTampered(t *testing.T) {
	f := newFixture(t, secret("s1", 1, time.Time{}), secret("s2", 2, epoch))
	good := f.sealed(t)
	try := func(what string, b []byte) {
		t.Helper()
		_, err := f.Open(base64url.Encode(b), audience)
		if e, ok := err.(*Error); !ok || e.Reason != UnknownTicket {
			t.Errorf("%s: got %v, want %s", what, err, UnknownTicket)
		}
	}
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			b := slices.Clone(good)
			b[i] ^= bit
			try(fmt.Sprintf("octet %d with bit %x", i, bit), b)
		}
		try(fmt.Sprintf("without octet %d", i), slices.Delete(slices.Clone(good), i, i+1))
		try(fmt.Sprintf("cut to %d", i), good[:i])
	}
	try("longer", append(slices.Clone(good), 0))
	if _, err := f.Open(base64url.Encode(good), audience); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	f := newFixture(t)
	good := f.sealed(t)
	text := base64url.Encode(good)
	const idEnd = 2 + len("s1")
	other := func(change func([]byte)) string {
		b := slices.Clone(good)
		change(b)
		return base64url.Encode(b)
	}
	for _, tc := range []struct {
		name, ticket, audience string
		want                   Reason
		part                   string
	}{
		{"empty", "", audience, UnknownTicket, "version"},
		{"not base64url", text[:len(text)-2] + "+/", audience, UnknownTicket, "encoding"},
		{"padded", text + "=", audience, UnknownTicket, "encoding"},
		{"with a line feed", text + "\n", audience, UnknownTicket, "encoding"},
		{"too long", strings.Repeat("A", 6000), audience, UnknownTicket, "length"},
		{"too short", text[:40], audience, UnknownTicket, "length"},
		{"other version", other(func(b []byte) { b[0] = 2 }), audience, UnknownTicket, "version"},
		{"id of another length", other(func(b []byte) { b[1]++ }), audience, UnknownTicket, "secret"},
		{"id beyond the end", base64url.Encode(append([]byte{1, 255}, good[2:100]...)), audience, UnknownTicket, "length"},
		{"unknown secret", other(func(b []byte) { b[2] = 'x' }), audience, UnknownTicket, "secret"},
		{"epoch before", other(func(b []byte) { b[idEnd+3] -= 2 }), audience, UnknownTicket, "epoch"},
		{"epoch after", other(func(b []byte) { b[idEnd+3] += 2 }), audience, UnknownTicket, "epoch"},
		{"epoch zero", other(func(b []byte) { clear(b[idEnd:][:4]) }), audience, UnknownTicket, "epoch"},
		{"epoch at the end of time", other(func(b []byte) { copy(b[idEnd:], "\xff\xff\xff\xff") }), audience, UnknownTicket, "epoch"},
		{"epoch next to it", other(func(b []byte) { b[idEnd+3]++ }), audience, UnknownTicket, "seal"},
		{"other nonce", other(func(b []byte) { b[idEnd+4] ^= 1 }), audience, UnknownTicket, "seal"},
		{"other audience", text, "https://other.example", UnknownTicket, "seal"},
		{"no audience", text, "", UnknownTicket, "seal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ticket, err := f.Open(tc.ticket, tc.audience)
			wantReason(t, err, tc.want, tc.part)
			if ticket != nil {
				t.Error("a ticket was returned all the same")
			}
			if strings.Contains(err.Error(), text[:8]) {
				t.Error("the error shows the ticket")
			}
		})
	}
}

func TestOpenTimes(t *testing.T) {
	f := newFixture(t)
	s, _ := f.session(t)
	for _, tc := range []struct {
		name string
		at   time.Duration
		want Reason // "" opens
		part string
	}{
		{"at once", 0, "", ""},
		{"at the last moment", 5*time.Minute - 1, "", ""},
		{"at its end", 5 * time.Minute, Expired, ""},
		{"an hour later", time.Hour, Expired, ""},
		{"two hours later", 2 * time.Hour, UnknownTicket, "epoch"},
		{"by a node a minute behind", -time.Minute, "", ""},
		{"by a node further behind", -time.Minute - 1, UnknownTicket, "issued ahead"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.now = epoch.Add(tc.at)
			_, err := f.Open(s.Ticket(), audience)
			if tc.want != "" {
				wantReason(t, err, tc.want, tc.part)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRotation plays a fleet through a rotation: node by node gets the new secret, later node by node loses the old one,
// with clocks up to a minute apart. A ticket of any node is good at every other one until its end, throughout.
func TestRotation(t *testing.T) {
	const turn, drop = 90 * time.Minute, 4 * time.Hour
	older, newer := secret("2026-a", 1, time.Time{}), secret("2026-b", 2, epoch.Add(turn))
	// nodes: from when on they know the new secret, from when on no longer the old one, and their clocks.
	nodes := []struct{ learns, forgets, clock time.Duration }{
		{0, drop, 0},
		{turn - time.Minute, drop + time.Hour, 30 * time.Second},
		{turn - 30*time.Second, drop + 2*time.Hour, -30 * time.Second},
	}
	type entry struct {
		ticket  string
		by      int
		expires time.Time
	}
	var tickets []entry
	seals := map[string]int{} // id of the secret → tickets sealed under it
	checked := 0
	for at := time.Duration(0); at < 7*time.Hour; at += 47 * time.Second {
		for n, node := range nodes {
			secrets := []Secret{older}
			if at >= node.learns {
				secrets = append(secrets, newer)
			}
			if at >= node.forgets {
				secrets = []Secret{newer}
			}
			// A new server each time: nothing may depend on what it remembers.
			f := newFixture(t)
			s, err := NewServer(ServerConfig{Secrets: secrets, Now: func() time.Time { return epoch.Add(at + node.clock) }})
			if err != nil {
				t.Fatal(err)
			}
			f.Server, f.now = s, epoch.Add(at+node.clock)
			for _, e := range tickets {
				checked++
				if _, err := f.Open(e.ticket, audience); err != nil {
					t.Fatalf("after %v node %d refused a ticket of node %d: %v", at, n, e.by, err)
				}
			}
			session, _ := f.rotationSession(t, at)
			raw, err := base64url.Decode(session.Ticket())
			if err != nil {
				t.Fatal(err)
			}
			seals[string(raw[2:2+raw[1]])]++
			// Until its end on the clock that is furthest ahead.
			tickets = append(tickets, entry{session.Ticket(), n, session.Expires().Add(-node.clock)})
		}
		tickets = slices.DeleteFunc(tickets, func(e entry) bool { return !e.expires.After(epoch.Add(at + 2*time.Minute)) })
	}
	if seals["2026-a"] == 0 || seals["2026-b"] == 0 || checked < 1000 {
		t.Errorf("sealed %v, checked %d: the rotation wasn't played", seals, checked)
	}
}

// rotationSession makes a session of a token that is good for long.
func (f *fixture) rotationSession(t *testing.T, at time.Duration) (*Session, *Ticket) {
	t.Helper()
	g := grant()
	g.TokenExpires, g.Until = epoch.Add(at+time.Hour), epoch.Add(at+time.Hour)
	o, field, ticket := f.answer(t, g)
	s, err := o.Accept([]string{field}, g.Binding, f.now)
	if err != nil {
		t.Fatal(err)
	}
	return s, ticket
}

// TestOpensBeforeNotBefore: another node's clock may be ahead.
func TestOpensBeforeNotBefore(t *testing.T) {
	secrets := []Secret{secret("old", 1, time.Time{}), secret("new", 2, epoch)}
	ahead, behind := newFixture(t, secrets...), newFixture(t, secrets...)
	behind.now = epoch.Add(-30 * time.Second)
	s, _ := ahead.session(t)
	if raw, err := base64url.Decode(s.Ticket()); err != nil || string(raw[2:5]) != "new" {
		t.Errorf("not sealed under the new secret (%v)", err)
	}
	if _, err := behind.Open(s.Ticket(), audience); err != nil {
		t.Error(err)
	}
	s, _ = behind.session(t)
	if raw, err := base64url.Decode(s.Ticket()); err != nil || string(raw[2:5]) != "old" {
		t.Errorf("not sealed under the old secret (%v)", err)
	}
}

// TestClockBehindAllSecrets: a clock that goes back must not end in a panic.
func TestClockBehindAllSecrets(t *testing.T) {
	f := newFixture(t, secret("s1", 1, epoch), secret("s2", 2, epoch.Add(time.Hour)))
	f.now = epoch.Add(-time.Hour)
	f.session(t)
}

// TestSecretsAreApart: two secrets under one id, as after a wrong deployment, don't open each other's tickets.
func TestSecretsAreApart(t *testing.T) {
	one, other := newFixture(t, secret("s1", 1, time.Time{})), newFixture(t, secret("s1", 2, time.Time{}))
	s, _ := one.session(t)
	_, err := other.Open(s.Ticket(), audience)
	wantReason(t, err, UnknownTicket, "seal")
}

func TestEpochKeysAreBounded(t *testing.T) {
	f := newFixture(t)
	for hour := range 100 {
		f.now = epoch.Add(time.Duration(hour) * time.Hour)
		f.rotationSession(t, time.Duration(hour)*time.Hour)
	}
	held := 0
	for i := range f.sealer().secrets[0].epochs {
		if f.sealer().secrets[0].epochs[i].Load() != nil {
			held++
		}
	}
	if held > 4 {
		t.Errorf("%d keys are held, want at most 4", held)
	}
}

func TestOpenConcurrently(t *testing.T) {
	f := newFixture(t)
	s, _ := f.session(t)
	cold := newFixture(t)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := cold.Open(s.Ticket(), audience); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// sealContents seals plain as an honest node would.
func (f *fixture) sealContents(tb testing.TB, plain []byte) string {
	tb.Helper()
	secret := f.sealer().secrets[0]
	n := epochOf(f.now)
	aead, err := secret.aead(n)
	if err != nil {
		tb.Fatal(err)
	}
	header := append([]byte{ticketVersion, byte(len(secret.id))}, secret.id...)
	header = append(binary.BigEndian.AppendUint32(header, n), make([]byte, nonceLen)...)
	return base64url.Encode(aead.Seal(header, header[len(header)-nonceLen:], plain, appendAdditional(nil, header, audience)))
}

// TestContentsRefused: also what was sealed under our secret must be whole, and of this version.
func TestContentsRefused(t *testing.T) {
	f := newFixture(t)
	_, ticket := f.session(t)
	plain, err := f.sealer().codec.encode(ticket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(f.sealContents(t, plain), audience); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	changed := func(change func(*contents)) []byte {
		var c contents
		if err := f.sealer().codec.dec.Unmarshal(plain, &c); err != nil {
			t.Fatal(err)
		}
		change(&c)
		b, err := f.sealer().codec.enc.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	member := func(key int, value any) []byte {
		b, err := cbor.Marshal(map[int]any{key: value})
		if err != nil {
			t.Fatal(err)
		}
		more := slices.Clone(plain)
		more[0]++ // of pairs
		return append(more, b[1:]...)
	}
	for _, tc := range []struct {
		name  string
		plain []byte
	}{
		{"empty", nil},
		{"not a map", []byte{0x80}},
		{"empty map", []byte{0xa0}},
		{"octets after the end", append(slices.Clone(plain), 0)},
		{"cut", plain[:len(plain)-1]},
		{"unknown member", member(23, 1)},
		{"repeated member", member(16, ticket.Until.UnixMilli())},
		{"tagged", append([]byte{0xc1}, plain...)},
		{"indefinite length", slices.Concat([]byte{0xbf}, plain[1:], []byte{0xff})},
		{"fixed part too short", changed(func(c *contents) { c.Fixed = c.Fixed[1:] })},
		{"fixed part too long", changed(func(c *contents) { c.Fixed = append(c.Fixed, 0) })},
		{"no thumbprint", changed(func(c *contents) { clear(c.Fixed[80:112]) })},
		{"no confirmation", changed(func(c *contents) { c.Confirmation = "" })},
		{"no scheme", changed(func(c *contents) { c.Scheme = "" })},
		{"no time of proof", changed(func(c *contents) { c.ProvedAt = 0 })},
		{"no end of the token", changed(func(c *contents) { c.Until = 0 })},
		{"no issue", changed(func(c *contents) { c.Issued = 0 })},
		{"no end", changed(func(c *contents) { c.Expires = 0 })},
		{"ends before it begins", changed(func(c *contents) { c.Expires = c.Issued })},
		{"lasts too long", changed(func(c *contents) { c.Expires = c.Issued + MaxLifetime.Milliseconds() + 1 })},
		{"begins before all time", changed(func(c *contents) { c.Issued = -1 << 63 })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := f.Open(f.sealContents(t, tc.plain), audience)
			wantReason(t, err, UnknownTicket, "contents")
		})
	}
}

// TestContentsAreDeterministic: the same members, encoded as a map by RFC 8949, section 4.2.1, give the same octets.
func TestContentsAreDeterministic(t *testing.T) {
	f := newFixture(t)
	_, ticket := f.session(t)
	got, err := f.sealer().codec.encode(ticket)
	if err != nil {
		t.Fatal(err)
	}
	var members map[int]any
	if err := cbor.Unmarshal(got, &members); err != nil {
		t.Fatal(err)
	}
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	want, err := enc.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestAllocs bounds what opening a ticket allocates: the ticket, its keys and texts.
func TestAllocs(t *testing.T) {
	f := newFixture(t)
	s, _ := f.session(t)
	ticket := s.Ticket()
	if got := testing.AllocsPerRun(100, func() {
		if _, err := f.Open(ticket, audience); err != nil {
			t.Fatal(err)
		}
	}); got > 20 {
		t.Errorf("Open: got %v allocations, want at most 20", got)
	}
	if got := testing.AllocsPerRun(100, func() {
		if _, err := s.NextCounter(); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseCounter("4711"); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("counters: got %v allocations, want none", got)
	}
}
