package bench

// savingCases are what a session saves: a whole pass of a DPoP proof beside one of a request in a session, by one verifier,
// for the same target. The token is remembered on both sides.
func savingCases() ([]Case, error) {
	var out []Case
	for _, c := range []struct {
		ticket  string
		tickets int
	}{{"ticket remembered", 0}, {"ticket opened each time", -1}} {
		client, err := newClient(c.tickets)
		if err != nil {
			return nil, err
		}
		signed, err := newSigned(client.signer, client.grants)
		if err != nil {
			return nil, err
		}
		macs, err := newMACs(client.session)
		if err != nil {
			return nil, err
		}
		proofs, requests := &supply{url: signed.url, sign: signed.dpop}, &supply{url: macs.url, sign: macs.sign}
		out = append(out, Case{
			Name: "DPoP P-256, beside a " + c.ticket, Bare: "session, " + c.ticket, Stock: proofs.stock, BaseStock: requests.stock,
			Work: func() error {
				_, err := client.verifier.Check(proofs.next())
				return err
			},
			Base: func() error {
				_, err := client.verifier.Check(requests.next())
				return err
			},
		})
	}
	return out, nil
}
