package popstream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

// honest holds the frames that the holder of testKey made for the vectors, by their number and octets.
type honest map[string]bool

func honestFrames(t testing.TB) honest {
	t.Helper()
	known := make(honest)
	// Two that only refused vectors hold, at their place in another stream.
	known[fmt.Sprint(1, testOracle.frame(1, testPayload[:17], true))] = true
	known[fmt.Sprint(3, testOracle.frame(3, testPayload, true))] = true
	for _, v := range readVectors(t) {
		if v.Expect != "accept" || !bytes.Equal(v.Signature, testSignature) {
			continue
		}
		rest := []byte(v.Framed)
		for seq := 0; len(rest) > 0; seq++ {
			n := overhead + int(binary.BigEndian.Uint32(rest)&^lastBit)
			known[fmt.Sprint(seq, rest[:n])] = true
			rest = rest[n:]
		}
	}
	return known
}

// judge returns what may be released of framed: what honest frames hold that stand where they were made for.
func (h honest) judge(framed []byte, chunk int) (released []byte, whole bool) {
	for seq := 0; len(framed) >= overhead; seq++ {
		head := binary.BigEndian.Uint32(framed)
		n := overhead + int(head&^lastBit)
		if n > len(framed) || n > chunk+overhead || !h[fmt.Sprint(seq, framed[:n])] {
			return released, false
		}
		released = append(released, framed[headSize:n-tagSize]...)
		framed = framed[n:]
		if head&lastBit != 0 {
			return released, len(framed) == 0
		}
	}
	return released, false
}

// FuzzReader: whatever is sent, exactly what the holder of the key framed is released, and only the whole of it ends well.
func FuzzReader(f *testing.F) {
	known := honestFrames(f)
	for _, v := range readVectors(f) {
		f.Add([]byte(v.Framed), uint16(testChunk-1))
	}
	f.Fuzz(func(t *testing.T, framed []byte, chunk uint16) {
		p := Params{Chunk: int(chunk) + 1}
		want, whole := known.judge(framed, p.Chunk)
		read := func(src io.Reader) {
			t.Helper()
			got, err := io.ReadAll(NewReader(io.NopCloser(src), testKey, p))
			if !bytes.Equal(got, want) || (err == nil) != whole {
				t.Errorf("got %x, %v, want %x, and the whole: %t", got, err, want, whole)
			}
			if reason := reasonOf(t, err); reason == BadField {
				t.Errorf("got %v", err)
			}
		}
		read(bytes.NewReader(framed))
		read(iotest.OneByteReader(bytes.NewReader(framed)))
	})
}

// FuzzFrames: a body comes out as it went in, however it is cut, and not at all if one bit of its frames is changed.
func FuzzFrames(f *testing.F) {
	for i, v := range readVectors(f) {
		f.Add([]byte(v.Payload), uint16(16), i, uint(i*13))
	}
	f.Fuzz(func(t *testing.T, payload []byte, chunk uint16, flush int, bit uint) {
		p := Params{Chunk: int(chunk) + 1}
		var framed bytes.Buffer
		w := NewWriter(&framed, testKey, p)
		for i, b := range payload {
			w.Write([]byte{b})
			if flush > 0 && i%flush == 0 {
				w.Flush()
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(NewReader(io.NopCloser(bytes.NewReader(framed.Bytes())), testKey, p))
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("got %x, %v, want %x", got, err, payload)
		}
		bit %= uint(framed.Len() * 8)
		framed.Bytes()[bit/8] ^= 1 << (bit % 8)
		got, err = io.ReadAll(NewReader(io.NopCloser(&framed), testKey, p))
		if reasonOf(t, err) == "" || !bytes.HasPrefix(payload, got) {
			t.Errorf("bit %d changed: got %x, %v", bit, got, err)
		}
	})
}

func FuzzParseParams(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.Field)
	}
	f.Fuzz(func(t *testing.T, field string) {
		p, err := ParseParams([]string{field})
		if err != nil {
			if reasonOf(t, err) != BadField {
				t.Errorf("got %v", err)
			}
			return
		}
		if again, err := ParseParams([]string{p.Field()}); err != nil || again != p {
			t.Errorf("%+v: got %+v, %v", p, again, err)
		}
	})
}
