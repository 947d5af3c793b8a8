package popsession

import (
	"errors"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

var errTooLong = errors.New("longer than the limit")

// parseField parses one of the two dictionaries. Repeated members and parameters are refused: of them the last would
// count, and another reader might take the first.
func parseField(lines []string, limit int, r Reason) (sfv.Dictionary, error) {
	n := 0
	for _, line := range lines {
		if n += len(line) + len(", "); n > limit {
			return nil, &Error{Reason: r, Err: errTooLong}
		}
	}
	dict, err := sfv.ParseDictionary(lines...)
	if err != nil {
		return nil, &Error{Reason: r, Err: err}
	}
	if _, ok := dict.Repeated(); ok {
		return nil, refuse(r, "repeated member")
	}
	for i := range dict {
		if dict[i].RepeatedParam() {
			return nil, refuse(r, "repeated parameter")
		}
	}
	return dict, nil
}

// bytesOf returns the Byte Sequence of a member; nil if it is absent, empty or something else.
func bytesOf(m *sfv.Member) []byte {
	if m == nil || m.Value.Kind() != sfv.KindBytes {
		return nil
	}
	return m.Value.Bytes()
}

// integerOf returns the Integer of a member; 0 if it is absent or something else.
func integerOf(m *sfv.Member) int64 {
	if m == nil || m.Value.Kind() != sfv.KindInteger {
		return 0
	}
	return m.Value.Int64()
}
