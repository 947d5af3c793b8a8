package login

import (
	_ "embed" // the script
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/issuer"
)

const scriptPath = "passkey.js"

//go:embed passkey.js
var script []byte

// serveScript serves what our pages do with passkeys. It is the same for everybody.
func serveScript(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "no-cache") // pages and script change together
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(script)
}

// leads is the answer that sends the script's page elsewhere.
type leads struct {
	Location string `json:"location"`
}

// answer makes an endpoint for the script: JSON in, JSON out.
func (l *Login) answer(serve func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/json" {
			l.tell(w, r, nil, &issuer.Error{Reason: issuer.FormRefused, Part: "Content-Type", Expected: "application/json"})
			return
		}
		result, err := serve(w, r)
		l.tell(w, r, result, err)
	}
}

// tell answers the script with a result, or with what to say to the user.
func (l *Login) tell(w http.ResponseWriter, r *http.Request, result any, err error) {
	status := http.StatusOK
	if err != nil {
		var text string
		status, text = l.observeRefusal(r.Context(), err)
		result = struct {
			Error string `json:"error"`
		}{text}
	}
	body, err := json.Marshal(result)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	page.Private(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// readMembers reads one JSON object that has exactly these members: into a *string as it is, into a *[]byte from
// base64url. The body is bounded already.
func readMembers(body io.Reader, members map[string]any) error {
	text, err := io.ReadAll(body)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &issuer.Error{Reason: issuer.FormTooLarge, Expected: "at most 16 KiB"}
	}
	if err != nil {
		return &issuer.Error{Reason: issuer.FormRefused, Part: "body", Err: err}
	}
	seen := 0
	err = strictjson.Object(text, func(name string, v strictjson.Value) error {
		to, ok := members[name]
		if !ok {
			return &issuer.Error{Reason: issuer.FormRefused, Part: "a member that isn't known"}
		}
		seen++
		return readMember(name, to, v)
	})
	if _, ok := errors.AsType[*issuer.Error](err); ok {
		return err
	}
	if err != nil {
		return &issuer.Error{Reason: issuer.FormRefused, Part: "body", Err: err}
	}
	if seen != len(members) {
		return &issuer.Error{Reason: issuer.FormRefused, Part: "a member that is absent"}
	}
	return nil
}

func readMember(name string, to any, v strictjson.Value) error {
	text, err := v.String()
	if err == nil {
		switch to := to.(type) {
		case *string:
			*to = text
		case *[]byte:
			*to, err = base64url.Decode(text)
		}
	}
	if err != nil {
		return &issuer.Error{Reason: issuer.FormRefused, Part: name, Err: err}
	}
	return nil
}

// readAssertion reads what navigator.credentials.get came to, and where its user goes on.
func readAssertion(body io.Reader) (response *protocol.ParsedCredentialAssertionData, back string, err error) {
	var raw protocol.CredentialAssertionResponse
	var id, clientData, authenticatorData, signature, userHandle []byte
	err = readMembers(body, map[string]any{
		"id": &id, "clientDataJSON": &clientData, "authenticatorData": &authenticatorData, "signature": &signature,
		"userHandle": &userHandle, "back": &back,
	})
	if err != nil {
		return nil, "", err
	}
	if err := checkClientData(clientData); err != nil {
		return nil, "", err
	}
	raw.PublicKeyCredential = publicKey(id)
	raw.AssertionResponse = protocol.AuthenticatorAssertionResponse{
		AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: clientData},
		AuthenticatorData:     authenticatorData, Signature: signature, UserHandle: userHandle,
	}
	if response, err = raw.Parse(); err != nil {
		return nil, "", wrong(sectionLogIn, "response", err)
	}
	return response, back, nil
}

// readAttestation reads what navigator.credentials.create came to.
func readAttestation(body io.Reader) (*protocol.ParsedCredentialCreationData, error) {
	var raw protocol.CredentialCreationResponse
	var id, clientData, attestation []byte
	err := readMembers(body, map[string]any{"id": &id, "clientDataJSON": &clientData, "attestationObject": &attestation})
	if err != nil {
		return nil, err
	}
	if err := checkClientData(clientData); err != nil {
		return nil, err
	}
	raw.PublicKeyCredential = publicKey(id)
	raw.AttestationResponse = protocol.AuthenticatorAttestationResponse{
		AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: clientData}, AttestationObject: attestation,
	}
	response, err := raw.Parse()
	if err != nil {
		return nil, wrong(sectionAdd, "response", err)
	}
	return response, nil
}

func publicKey(id []byte) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: base64url.Encode(id), Type: string(protocol.PublicKeyCredentialType)}, RawID: id,
	}
}

// checkClientData sees to it that all readers of the text see the same (WebAuthn Level 3, section 5.8.1).
func checkClientData(text []byte) error {
	if err := strictjson.Object(text, func(string, strictjson.Value) error { return nil }); err != nil {
		return &issuer.Error{Reason: issuer.FormRefused, Part: "clientDataJSON", Err: err}
	}
	return nil
}
