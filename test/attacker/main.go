// Command attacker has a recording of every byte that honest clients and servers exchanged, and the servers' addresses.
// It tries to be served. It shares no code with holdfast: what it knows of the protocols is what their documents say.
//
// It reads an [Input] as JSON from standard input, and writes a [Report] as JSON to standard output. Whether it was
// served is for the resource to say: an answer that looks like success proves nothing.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Input is what the attacker has.
type Input struct {
	Servers     map[string]string // name → host:port: "gateway", "second" (of the same fleet) and "issuer"
	Connections []Connection
	Classes     []string // of attacks, by name; all if empty

	// What no attacker has, to show that with it the attacks would succeed.
	Secret []byte          `json:",omitempty"` // of a session in the recording
	Key    json.RawMessage `json:",omitempty"` // a client's private JWK
}

// Connection is one that was recorded, with what TLS hid taken off.
type Connection struct {
	Server         string // a name in Servers, or another one, whose address isn't known
	Sent, Received []byte // by the client
}

// Report is what was tried.
type Report struct {
	Recorded map[string]int // server → requests in the recording
	Attempts map[string]int // class → attempts
	Answers  map[string]int // first line of an answer, or "none" → how many
}

// mostOfClass bounds the attempts of a class.
const mostOfClass = 2500

func main() {
	var in Input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, "attacker:", err)
		os.Exit(1)
	}
	report, err := attack(&in)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "attacker:", err)
		os.Exit(1)
	}
}

func attack(in *Input) (*Report, error) {
	loot, err := sift(in)
	if err != nil {
		return nil, err
	}
	report := &Report{Recorded: map[string]int{}, Attempts: map[string]int{}, Answers: map[string]int{}}
	for _, x := range loot.all {
		report.Recorded[x.server]++
	}
	for _, c := range classes {
		if len(in.Classes) > 0 && !slices.Contains(in.Classes, c.name) {
			continue
		}
		tried := map[string]bool{}
		for server, r := range c.attempts(loot) {
			text := server + string(r.bytes())
			if tried[text] {
				continue
			}
			if tried[text] = true; len(tried) > mostOfClass {
				break
			}
			report.Attempts[c.name]++
			report.Answers[loot.send(server, r)]++
		}
	}
	return report, nil
}
