package keys

// The ECDSA functions of the standard library speak DER, JOSE has R || S of fixed length (RFC 7518, section 3.4). The
// conversions here work without big integers: going through them costs ten allocations a signature.

// maxDER is the longest DER signature: two integers of P-521, each with tag, length and sign octet, and the sequence.
const maxDER = 3 + 2*(2+1+66)

// appendDER appends the DER form of r || s, size octets each. It refuses other lengths and zero.
func appendDER(dst, raw []byte, size int) ([]byte, bool) {
	if len(raw) != 2*size {
		return nil, false
	}
	r, s := trimZeros(raw[:size]), trimZeros(raw[size:])
	if len(r) == 0 || len(s) == 0 {
		return nil, false
	}
	n := integerLen(r) + integerLen(s)
	dst = append(dst, 0x30)
	if n >= 0x80 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(n))
	return appendInteger(appendInteger(dst, r), s), true
}

func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// integerLen returns the length of appendInteger's output.
func integerLen(b []byte) int { return 2 + len(b) + int(b[0]>>7) }

func appendInteger(dst, b []byte) []byte {
	dst = append(dst, 0x02, byte(len(b)+int(b[0]>>7)))
	if b[0]&0x80 != 0 {
		dst = append(dst, 0)
	}
	return append(dst, b...)
}

// rawSignature returns r || s, size octets each, of a DER signature.
func rawSignature(der []byte, size int) ([]byte, bool) {
	body, rest, ok := element(der, 0x30)
	if !ok || len(rest) != 0 {
		return nil, false
	}
	r, body, ok := element(body, 0x02)
	if !ok {
		return nil, false
	}
	s, rest, ok := element(body, 0x02)
	if !ok || len(rest) != 0 {
		return nil, false
	}
	r, s = trimZeros(r), trimZeros(s)
	if len(r) > size || len(s) > size {
		return nil, false
	}
	raw := make([]byte, 2*size)
	copy(raw[size-len(r):], r)
	copy(raw[2*size-len(s):], s)
	return raw, true
}

// element splits der into the body of its first element, which must have the tag, and the rest.
func element(der []byte, tag byte) (body, rest []byte, ok bool) {
	if len(der) < 2 || der[0] != tag {
		return nil, nil, false
	}
	n, der := int(der[1]), der[2:]
	if n == 0x81 && len(der) > 0 {
		n, der = int(der[0]), der[1:]
	} else if n >= 0x80 {
		return nil, nil, false
	}
	if n > len(der) {
		return nil, nil, false
	}
	return der[:n], der[n:], true
}
