package base64url

import (
	"bytes"
	"testing"
)

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "AA": "\x00", "AAA": "\x00\x00", "AAAA": "\x00\x00\x00", "-_8": "\xfb\xff", "Zm9v": "foo",
	} {
		got, err := Decode(text)
		if err != nil || string(got) != want {
			t.Errorf("Decode(%q): got %q, %v, want %q", text, got, err, want)
		}
		if again := Encode(got); again != text {
			t.Errorf("Encode(%q): got %q, want %q", got, again, text)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"one character":         "A",
		"five characters":       "AAAAA",
		"padding":               "AA==",
		"standard alphabet":     "+/8",
		"bits after one octet":  "AB",
		"bits after two octets": "AAB",
		"line feed":             "AA\nAA",
		"carriage return":       "AAAA\r",
		"space":                 "AA A",
		"NUL":                   "AA\x00A",
		"UTF-8":                 "AAé",
	} {
		if got, err := Decode(text); err != ErrSyntax || len(got) != 0 {
			t.Errorf("%s: got %x, %v, want %v", name, got, err, ErrSyntax)
		}
	}
}

func TestAppend(t *testing.T) {
	buf := make([]byte, 2, 8)
	got, err := Append(buf, "Zm9v")
	if err != nil || string(got) != "\x00\x00foo" || &got[0] != &buf[0] {
		t.Errorf("with room: got %q, %v", got, err)
	}
	got, err = Append(buf[:2:2], "Zm9v")
	if err != nil || string(got) != "\x00\x00foo" || &got[0] == &buf[0] {
		t.Errorf("without room: got %q, %v", got, err)
	}
	if got, err = Append([]byte("ab"), "Zm9="); err == nil || string(got) != "ab" {
		t.Errorf("refused: got %q, %v, want what was there", got, err)
	}
}

// Each value has one spelling.
func FuzzDecode(f *testing.F) {
	f.Add("Zm9vYmFy")
	f.Add("AB")
	f.Add("A\nAA")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Decode(text)
		if err != nil {
			return
		}
		if again := AppendEncode(nil, b); !bytes.Equal(again, []byte(text)) {
			t.Fatalf("%q is a second spelling of %q", text, again)
		}
	})
}
