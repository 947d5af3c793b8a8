package telemetry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemFiles are the paths of a certificate and its key.
type pemFiles struct{ cert, key string }

// write makes a certificate with this serial number. Its time is the serial's, so that no two are alike.
func (f pemFiles) write(t *testing.T, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.put(t, f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), serial)
	f.put(t, f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), serial)
}

func (f pemFiles) put(t *testing.T, name string, data []byte, serial int64) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_000_000_000+serial, 0)
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

func serialOf(t *testing.T, c *Certificate) int64 {
	t.Helper()
	cert, err := c.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.SerialNumber.Int64()
}

func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	f := pemFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.write(t, 1)
	var log bytes.Buffer
	c, err := OpenCertificate(f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := c.checked
	// step goes on by d and returns the serial number of what is served then.
	step := func(d time.Duration) int64 {
		now = now.Add(d)
		c.mu.Lock()
		c.refresh(now)
		c.mu.Unlock()
		return serialOf(t, c)
	}
	if got := step(certificateCheck); got != 1 {
		t.Fatalf("unchanged: got %d, want 1", got)
	}
	f.write(t, 2)
	if got := step(certificateCheck / 2); got != 1 {
		t.Errorf("before the files are looked at: got %d, want 1", got)
	}
	if got := step(certificateCheck / 2); got != 2 {
		t.Errorf("changed: got %d, want 2", got)
	}
	f.put(t, f.cert, []byte("half"), 3)
	if got := step(certificateCheck); got != 2 || !strings.Contains(log.String(), "not reloaded") {
		t.Errorf("broken: got %d, want the last good one, and a word in the log: %s", got, &log)
	}
	if err := os.Remove(f.key); err != nil {
		t.Fatal(err)
	}
	if got := step(certificateCheck); got != 2 {
		t.Errorf("gone: got %d, want the last good one", got)
	}
	f.write(t, 4)
	if got := step(certificateCheck); got != 4 {
		t.Errorf("repaired: got %d, want 4", got)
	}
	if strings.Contains(log.String(), "PRIVATE KEY") {
		t.Error("the log has a key")
	}
}

func TestOpenCertificateRefused(t *testing.T) {
	dir := t.TempDir()
	f := pemFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.write(t, 1)
	if _, err := OpenCertificate(f.cert, f.key, slog.Default()); err != nil {
		t.Fatalf("the good files: %v", err)
	}
	for name, files := range map[string]pemFiles{
		"no certificate": {f.cert + "x", f.key}, "no key": {f.cert, f.key + "x"}, "the wrong way round": {f.key, f.cert},
	} {
		if _, err := OpenCertificate(files.cert, files.key, slog.Default()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRunWithTLS(t *testing.T) {
	dir := t.TempDir()
	f := pemFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.write(t, 7)
	c, err := OpenCertificate(f.cert, f.key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tel, _ := newTelemetry(t, Config{})
	srv := NewServer(http.NotFoundHandler())
	srv.TLSConfig = &tls.Config{GetCertificate: c.Get}
	address, _, _ := running(t, tel, srv)
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s := conn.ConnectionState(); s.NegotiatedProtocol != "h2" || s.PeerCertificates[0].SerialNumber.Int64() != 7 {
		t.Errorf("got %q and certificate %v", s.NegotiatedProtocol, s.PeerCertificates[0].SerialNumber)
	}
}
