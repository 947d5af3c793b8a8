package signedurl

import (
	"strings"
	"testing"
)

func BenchmarkSign(b *testing.B) {
	p := testParams()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Sign(testURL, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify parses and verifies, as each request does once.
func BenchmarkVerify(b *testing.B) {
	signed := newDraft().signed()
	now := at(testNow)
	b.ReportAllocs()
	for b.Loop() {
		u, _, err := Parse(signed)
		if err != nil {
			b.Fatal(err)
		}
		if err := u.Verify("GET", testSecret, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseOther is what every other request pays.
func BenchmarkParseOther(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, signed, _ := Parse(testURL); signed {
			b.Fatal("signed")
		}
	}
}

// BenchmarkHostile has targets of 64 KiB that want to be costly.
func BenchmarkHostile(b *testing.B) {
	for _, tc := range []struct{ name, unit string }{
		{"names", "&pop-"},
		{"encoded", "&%70%6F%70%2D"},
		{"semicolons", ";pop-"},
		{"parameters", "&pop-sig=a"},
		{"separators", "&"},
	} {
		target := "/?" + strings.Repeat(tc.unit, 64<<10/len(tc.unit))
		b.Run(tc.name, func(b *testing.B) {
			b.SetBytes(int64(len(target)))
			for b.Loop() {
				Parse(target)
				Redact(target)
			}
		})
	}
}
