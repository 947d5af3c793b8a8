package popstream

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestParseParams has a row for each rule, which differs from the first one in one thing.
func TestParseParams(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  int // 0: refused
	}{
		{"canonical", []string{"v=1, chunk=65536"}, 65536},
		{"smallest", []string{"v=1, chunk=1"}, 1},
		{"largest", []string{"v=1, chunk=1048576"}, MaxChunk},
		{"other order", []string{"chunk=65536,v=1"}, 65536},
		{"two lines", []string{"v=1", "chunk=65536"}, 65536},
		{"no field", nil, 0},
		{"empty", []string{""}, 0},
		{"no version", []string{"chunk=65536"}, 0},
		{"other version", []string{"v=2, chunk=65536"}, 0},
		{"version as a string", []string{`v="1", chunk=65536`}, 0},
		{"version as a decimal", []string{"v=1.0, chunk=65536"}, 0},
		{"version with a parameter", []string{"v=1;x, chunk=65536"}, 0},
		{"version twice", []string{"v=1, v=1, chunk=65536"}, 0},
		{"version in a list", []string{"v=(1), chunk=65536"}, 0},
		{"no chunk", []string{"v=1"}, 0},
		{"chunk without value", []string{"v=1, chunk"}, 0},
		{"chunk of zero", []string{"v=1, chunk=0"}, 0},
		{"negative chunk", []string{"v=1, chunk=-1"}, 0},
		{"chunk beyond the largest", []string{"v=1, chunk=1048577"}, 0},
		{"chunk beyond 32 bits", []string{"v=1, chunk=4294967297"}, 0},
		{"chunk with a parameter", []string{"v=1, chunk=65536;x"}, 0},
		{"chunk twice", []string{"v=1, chunk=65536", "chunk=1"}, 0},
		{"unknown member", []string{"v=1, chunk=65536, alg=1"}, 0},
		{"garbage", []string{"v=1, chunk=65536, !"}, 0},
		{"long", []string{"v=1, chunk=65536, " + strings.Repeat("a", 64<<10)}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParseParams(tc.lines)
			if p.Chunk != tc.want || (err == nil) != (tc.want != 0) {
				t.Fatalf("got %+v, %v, want %d", p, err, tc.want)
			}
			if err != nil && reasonOf(t, err) != BadField {
				t.Errorf("got %v, want %s", err, BadField)
			}
		})
	}
}

func TestField(t *testing.T) {
	for _, tc := range []struct {
		params Params
		want   string
	}{
		{Params{}, "v=1, chunk=65536"},
		{Params{Chunk: 1}, "v=1, chunk=1"},
	} {
		if got := tc.params.Field(); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}

func TestFramedLength(t *testing.T) {
	for _, tc := range []struct {
		n     int64
		chunk int
		want  int64
	}{
		{0, 16, 36},
		{1, 16, 37},
		{16, 16, 52},
		{17, 16, 17 + 2*36},
		{48, 16, 48 + 3*36},
		{64 << 10, 0, 64<<10 + 36},
		{64<<10 + 1, 0, 64<<10 + 1 + 2*36},
		{-1, 16, -1},
		{1, -1, -1},
		{1, MaxChunk + 1, -1},
		{math.MaxInt64, MaxChunk, -1},
		{math.MaxInt64 / 37, 1, math.MaxInt64 / 37 * 37},
		{math.MaxInt64/37 + 1, 1, -1},
	} {
		if got := FramedLength(tc.n, tc.chunk); got != tc.want {
			t.Errorf("%d in chunks of %d: got %d, want %d", tc.n, tc.chunk, got, tc.want)
		}
	}
}

func TestBodyKey(t *testing.T) {
	if got := testKey.secret[:]; string(got) != string(newOracle(testSecret, testSignature).key) {
		t.Errorf("got %x, want %x", got, newOracle(testSecret, testSignature).key)
	}
	for _, tc := range []struct {
		name              string
		secret, signature []byte
		want              bool
	}{
		{"usual", testSecret, testSignature, true},
		{"shortest secret", testSecret[:16], testSignature, true},
		{"short secret", testSecret[:15], testSignature, false},
		{"no secret", nil, testSignature, false},
		{"no signature", testSecret, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := BodyKey(tc.secret, tc.signature) != (Key{}); got != tc.want {
				t.Errorf("got a key: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestKeyIsRedacted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{testKey, &testKey} {
			if got := fmt.Sprintf(verb, v); got != "[redacted]" {
				t.Errorf("%s of a %T: got %s", verb, v, got)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  Error
		want string
	}{
		{Error{Reason: BadField, Detail: "v isn't 1"}, "popstream: stream-field: v isn't 1"},
		{Error{Reason: BadTag, Chunk: 3}, "popstream: stream-tag at chunk 3"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}
