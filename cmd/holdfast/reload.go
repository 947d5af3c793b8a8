package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/internal/config"
)

// onHangup calls reload at each SIGHUP until stop is called. What went wrong is for the log: the program goes on with
// what it had.
func (p *program) onHangup(reload func() error) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-hangups:
			case <-done:
				return
			}
			if err := reload(); err != nil {
				p.log.Error("not reloaded; everything stays as it was", "err", err)
				continue
			}
			p.log.Info("fleet secrets reloaded")
		}
	})
	return func() {
		signal.Stop(hangups)
		close(done)
		wg.Wait()
	}
}

// reload reads the configuration again and takes the fleet's secrets from it, nothing else.
func (c *gatewayCommand) reload(v *holdfast.Verifier) error {
	file, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	secrets, err := file.FleetSecrets()
	if err != nil {
		return err
	}
	return v.RotateSecrets(secrets)
}
