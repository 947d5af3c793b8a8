package telemetry

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificateCheck is how often the files are looked at: two calls to stat, by one of the handshakes.
const certificateCheck = 10 * time.Second

// Certificate is a certificate and key in two PEM files, loaded again when one of them changes. It is safe for
// concurrent use. Whoever can write the files can be this server; the key's should be readable by it alone.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	checked time.Time // when the files were looked at; guarded by mu
	stamp   stamp     // of the files as loaded or refused; guarded by mu
}

// stamp tells versions of the files apart.
type stamp struct {
	certTime, keyTime int64 // in nanoseconds
	certSize, keySize int64
}

// OpenCertificate loads a certificate. Later versions that can't be loaded are logged, and the last good one stays.
func OpenCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, checked: time.Now()}
	var err error
	if c.stamp, err = c.look(); err != nil {
		return nil, fmt.Errorf("telemetry: certificate: %w", err)
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Get is a tls.Config's GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	// Whoever looks at the files is one handshake; the others go on with what there is.
	if c.mu.TryLock() {
		c.refresh(time.Now())
		c.mu.Unlock()
	}
	return c.current.Load(), nil
}

// refresh needs mu.
func (c *Certificate) refresh(now time.Time) {
	if now.Sub(c.checked) < certificateCheck {
		return
	}
	c.checked = now
	s, err := c.look()
	if err == nil && s == c.stamp {
		return
	}
	if err == nil {
		c.stamp = s
		err = c.load()
	}
	if err != nil {
		c.log.Error("certificate not reloaded; the old one stays", "file", c.certFile, "err", err)
		return
	}
	c.log.Info("certificate reloaded", "file", c.certFile)
}

func (c *Certificate) look() (stamp, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return stamp{}, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return stamp{}, err
	}
	return stamp{cert.ModTime().UnixNano(), key.ModTime().UnixNano(), cert.Size(), key.Size()}, nil
}

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("telemetry: certificate: %w", err)
	}
	c.current.Store(&pair)
	return nil
}
