package popsession

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/keys"
)

var update = flag.Bool("update", false, "write the vector files anew")

const scheduleFile = "../vectors/popsession/key-schedule.json"

// octets are base64url in the vectors.
type octets []byte

func (o octets) MarshalText() ([]byte, error) { return base64url.AppendEncode(nil, o), nil }

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = base64url.Decode(string(text))
	return err
}

type scheduleFileFormat struct {
	Meta  map[string]string `json:"meta"`
	Cases []scheduleCase    `json:"cases"`
}

// scheduleCase is one run of the key schedule, with all that lies between.
type scheduleCase struct {
	ID            string `json:"id"`
	Note          string `json:"note,omitempty"`
	Curve         Curve  `json:"curve"`
	ClientPrivate octets `json:"client_private"`
	ServerPrivate octets `json:"server_private"`
	ClientShare   octets `json:"client_share"`
	ServerShare   octets `json:"server_share"`
	JKT           octets `json:"jkt"`
	TokenHash     octets `json:"token_hash"`
	Audience      string `json:"audience"`
	Session       octets `json:"session_id"`
	Z             octets `json:"z"`
	PRK           octets `json:"prk"`
	Context       octets `json:"ctx"`
	Request       octets `json:"k_req"`
	Response      octets `json:"k_res"`
}

func (c *scheduleCase) binding() Binding {
	return Binding{Thumbprint: keys.Thumbprint(c.JKT), TokenHash: [32]byte(c.TokenHash), Audience: c.Audience}
}

// agreements returns the schedule as each side runs it.
func (c *scheduleCase) agreements(t *testing.T) (client, server *agreement) {
	t.Helper()
	clientKey, serverKey := c.private(t, c.ClientPrivate), c.private(t, c.ServerPrivate)
	b := c.binding()
	common := agreement{
		binding: &b, clientShare: c.ClientShare, serverShare: c.ServerShare, id: ID(c.Session), refuseAs: BadAnswer,
	}
	of := func(own *ecdh.PrivateKey, peer []byte) *agreement {
		a := common
		pub, ok := c.Curve.parseShare(peer)
		if !ok {
			t.Fatal("the share was refused")
		}
		a.own, a.peer = own, pub
		return &a
	}
	return of(clientKey, c.ServerShare), of(serverKey, c.ClientShare)
}

func (c *scheduleCase) private(t *testing.T, key []byte) *ecdh.PrivateKey {
	t.Helper()
	k, err := c.Curve.group().NewPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// byHand follows the package comment with HMAC alone (RFC 5869).
func (c *scheduleCase) byHand() (prk, ctx, request, response []byte) {
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(bytes.Join(parts, nil))
		return h.Sum(nil)
	}
	prk = mac([]byte("pop-session-v1"), c.Z)
	for _, part := range [][]byte{c.JKT, c.TokenHash, []byte(c.Audience), c.ClientShare, c.ServerShare, c.Session} {
		ctx = append(ctx, byte(len(part)>>8), byte(len(part)))
		ctx = append(ctx, part...)
	}
	request = mac(prk, []byte("request\x00"), ctx, []byte{1})
	response = mac(prk, []byte("response\x00"), ctx, []byte{1})
	return prk, ctx, request, response
}

func readSchedule(tb testing.TB) []scheduleCase {
	tb.Helper()
	data, err := os.ReadFile(scheduleFile)
	if err != nil {
		tb.Fatal(err)
	}
	var file scheduleFileFormat
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		tb.Fatal(err)
	}
	if len(file.Cases) == 0 {
		tb.Fatal("no vectors found")
	}
	return file.Cases
}

func TestScheduleVectors(t *testing.T) {
	if *update {
		writeSchedule(t)
	}
	for _, tc := range readSchedule(t) {
		t.Run(tc.ID, func(t *testing.T) {
			client, server := tc.agreements(t)
			z, err := client.own.ECDH(client.peer)
			if err != nil {
				t.Fatal(err)
			}
			prk, err := extract(z)
			if err != nil {
				t.Fatal(err)
			}
			own, err := client.keys()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name      string
				got, want []byte
			}{
				{"client share", client.own.PublicKey().Bytes(), tc.ClientShare},
				{"server share", server.own.PublicKey().Bytes(), tc.ServerShare},
				{"Z", z, tc.Z}, {"prk", prk, tc.PRK}, {"ctx", client.context(), tc.Context},
				{"K_req", own.RequestSecret(), tc.Request}, {"K_res", own.ResponseSecret(), tc.Response},
			} {
				if !bytes.Equal(c.got, c.want) {
					t.Errorf("%s: got %x, want %x", c.name, c.got, c.want)
				}
			}
			theirs, err := server.keys()
			if err != nil {
				t.Fatal(err)
			}
			if !sameKeys(own, theirs) {
				t.Error("client and server have other keys")
			}
			handPRK, handCtx, handReq, handRes := tc.byHand()
			if !bytes.Equal(handPRK, tc.PRK) || !bytes.Equal(handCtx, tc.Context) ||
				!bytes.Equal(handReq, tc.Request) || !bytes.Equal(handRes, tc.Response) {
				t.Error("worked out by hand it is another")
			}
		})
	}
}

// TestEverythingBinds: whatever the two sides see differently, their keys are others.
func TestEverythingBinds(t *testing.T) {
	tc := readSchedule(t)[0]
	a, _ := tc.agreements(t)
	want, err := a.keys()
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte{7}, 65)
	for _, c := range []struct {
		name   string
		change func(*agreement)
	}{
		{"thumbprint", func(a *agreement) { a.binding.Thumbprint[31] ^= 1 }},
		{"token hash", func(a *agreement) { a.binding.TokenHash[0] ^= 1 }},
		{"audience", func(a *agreement) { a.binding.Audience = "https://other.example" }},
		{"client share", func(a *agreement) { a.clientShare = other }},
		{"server share", func(a *agreement) { a.serverShare = other }},
		{"shares exchanged", func(a *agreement) { a.clientShare, a.serverShare = a.serverShare, a.clientShare }},
		{"session id", func(a *agreement) { a.id[15] ^= 1 }},
		{"shared secret", func(a *agreement) { a.peer = a.own.PublicKey() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := tc.agreements(t)
			c.change(a)
			got, err := a.keys()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(got.RequestSecret(), want.RequestSecret()) || bytes.Equal(got.ResponseSecret(), want.ResponseSecret()) {
				t.Error("the keys are the same")
			}
		})
	}
	if bytes.Equal(want.RequestSecret(), want.ResponseSecret()) {
		t.Error("both directions have one key")
	}
}

func writeSchedule(t *testing.T) {
	t.Helper()
	b := binding()
	file := scheduleFileFormat{Meta: map[string]string{
		"what":     "the key schedule of PoP sessions (package popsession); octets are base64url",
		"licence":  "CC0-1.0",
		"made by":  "go test ./popsession -run Vectors -update",
		"warnings": "the private keys were made for this file and protect nothing",
	}}
	add := func(id, note string, curve Curve, audience string, suits func(*scheduleCase) bool) {
		for n := byte(0); ; n++ {
			c := scheduleCase{
				ID: id, Note: note, Curve: curve, JKT: b.Thumbprint[:], TokenHash: b.TokenHash[:], Audience: audience,
				ClientPrivate: seeded("client", id, n), ServerPrivate: seeded("server", id, n), Session: seeded("session", id, n)[:16],
			}
			c.fill(t)
			if suits(&c) {
				file.Cases = append(file.Cases, c)
				return
			}
		}
	}
	always := func(*scheduleCase) bool { return true }
	add("p256", "", P256, "https://api.example", always)
	add("x25519", "", X25519, "https://api.example", always)
	add("p256-port", "the audience has a port that isn't the scheme's", P256, "http://[2001:db8::1]:8080", always)
	add("p256-zero", "Z begins with a zero octet, which stays", P256, "https://api.example",
		func(c *scheduleCase) bool { return c.Z[0] == 0 })
	data, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(scheduleFile, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func seeded(role, id string, n byte) octets {
	sum := sha256.Sum256(append([]byte(role+" "+id+" "), n))
	return sum[:]
}

// fill works out what follows from the inputs.
func (c *scheduleCase) fill(t *testing.T) {
	t.Helper()
	c.ClientShare = c.private(t, c.ClientPrivate).PublicKey().Bytes()
	c.ServerShare = c.private(t, c.ServerPrivate).PublicKey().Bytes()
	a, _ := c.agreements(t)
	z, err := a.own.ECDH(a.peer)
	if err != nil {
		t.Fatal(err)
	}
	c.Z = z
	c.PRK, c.Context, c.Request, c.Response = c.byHand()
}
