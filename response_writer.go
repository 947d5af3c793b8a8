package holdfast

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/popstream"
)

// responseWriter signs what a handler answers. The header waits until it is known how the content is covered: until the
// handler is done, if the content is short; or until the first flush, or the byte that is too much, from where on the
// content is framed, or hashed for a trailer. To the handler it behaves as net/http's own.
type responseWriter struct {
	w        http.ResponseWriter
	server   *http.Server // or nil
	sign     *response
	status   int         // 0: not yet told
	header   http.Header // as it was when the status was told
	declared int64       // Content-Length, or -1
	written  int64       // by the handler
	room     int64       // how much may wait
	waiting  []byte
	sent     bool // the header is on its way
	hijacked bool
	err      error             // of a response that can't be signed
	frames   *popstream.Writer // of content in frames, or nil
	hash     hash.Hash         // of content with its digest in the trailer, or nil
}

func newResponseWriter(w http.ResponseWriter, r *http.Request, sign *response) *responseWriter {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return &responseWriter{w: w, server: server, sign: sign}
}

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header { return w.w.Header() }

// Unwrap is for http.ResponseController: deadlines and full duplex are the connection's.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.w }

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	switch {
	case w.hijacked || w.status != 0:
		w.log("superfluous WriteHeader of a response that is signed")
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status)) // as net/http does
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.w.WriteHeader(status) // an interim response is passed on, unsigned
	default:
		w.begin(status)
	}
}

// begin takes down the status and the header, which from here on are the response's.
func (w *responseWriter) begin(status int) {
	w.status, w.header = status, w.w.Header().Clone()
	w.declared = -1
	if lines := w.header["Content-Length"]; len(lines) == 1 {
		if n, err := strconv.ParseInt(lines[0], 10, 64); err == nil && n >= 0 {
			w.declared = n
		}
	}
	delete(w.header, popstream.Header)
	w.room = w.sign.buffer
	if w.declared > w.room || w.hasContent() && digested(w.header) {
		w.room = 0 // there is nothing to wait for
	}
	if !bodyAllowed(status) {
		w.commit(nil, false)
	}
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.hijacked {
		return 0, http.ErrHijacked
	}
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	switch {
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	case w.declared >= 0 && int64(len(p)) > w.declared-w.written:
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if !w.sent {
		if w.written <= w.room {
			w.waiting = append(w.waiting, p...)
			if w.written == w.declared {
				w.commit(nil, true)
			}
			return len(p), w.err
		}
		w.commit(p, false)
	}
	return w.send(p)
}

// send sends content of a response whose header is on its way.
func (w *responseWriter) send(p []byte) (int, error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.frames != nil:
		return w.frames.Write(p)
	case w.hash != nil:
		w.hash.Write(p)
	}
	return w.w.Write(p)
}

// Flush implements http.Flusher.
func (w *responseWriter) Flush() {
	_ = w.FlushError() // whoever wants to know calls that
}

// FlushError is Flush for http.ResponseController. Of a response that says how short it is, nothing is sent before the
// whole is there: proxies flush after each write.
func (w *responseWriter) FlushError() error {
	if w.hijacked {
		return http.ErrHijacked
	}
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	if !w.sent {
		if w.declared >= 0 && w.declared <= w.room && w.hasContent() {
			return nil
		}
		w.commit(nil, false)
	}
	if w.err != nil {
		return w.err
	}
	if w.frames != nil {
		if err := w.frames.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.w).Flush()
}

// Hijack implements http.Hijacker. What is written to the connection isn't signed: see Verdict.SignUpgrade.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.status != 0 && !w.sent {
		w.commit(nil, false)
	}
	conn, rw, err := http.NewResponseController(w.w).Hijack()
	w.hijacked = err == nil
	return conn, rw, err
}

// Push implements http.Pusher.
func (w *responseWriter) Push(target string, opts *http.PushOptions) error {
	if p, ok := w.w.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// finish ends the response of a handler that has returned.
func (w *responseWriter) finish() {
	if w.hijacked {
		return
	}
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	if w.declared >= 0 && w.written < w.declared && w.hasContent() {
		panic(http.ErrAbortHandler) // net/http cuts off what is shorter than it said
	}
	if !w.sent {
		w.commit(nil, true)
	}
	switch {
	case w.err != nil:
	case w.frames != nil:
		_ = w.frames.Close() // if that fails the peer is gone, and has no last chunk
	case w.hash != nil:
		w.signTrailer()
	}
}

// commit settles how the content is covered, signs, and sends the header and what waits. next is what the handler writes
// next; whole says that all the content is there.
func (w *responseWriter) commit(next []byte, whole bool) {
	w.sent = true
	w.sniff(next)
	h := w.header
	h["Vary"] = []string{"*"} // it answers this request and no other: no cache may give it to another one
	var err error
	var key popstream.Key
	switch {
	case !w.hasContent():
		_, err = w.sign.signHeader(w.status, h)
	case digested(h):
		_, err = w.sign.signHeader(w.status, h, digestComponent)
	case whole:
		h["Content-Digest"] = []string{contentdigest.Sum(contentdigest.SHA256, w.waiting)}
		_, err = w.sign.signHeader(w.status, h, digestComponent)
	case w.sign.frames:
		if key, err = w.sign.frame(w.status, h); err == nil {
			w.frames = popstream.NewWriter(w.w, key, popstream.Params{})
		}
	case w.sign.trailers:
		w.announceTrailer()
	default: // HTTP/1.0 has neither: the client gets it unsigned
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.sendHeader()
	if len(w.waiting) > 0 {
		_, w.err = w.send(w.waiting)
		w.waiting = nil
	}
}

// sendHeader sends the header as it was when its status was told. What the handler set since is for the trailer.
func (w *responseWriter) sendHeader() {
	live := w.w.Header()
	later := maps.Clone(live)
	clear(live)
	maps.Copy(live, w.header)
	w.w.WriteHeader(w.status)
	maps.Copy(live, later)
}

// sniff sets the content type as net/http would, which is covered and mustn't be guessed from frames.
func (w *responseWriter) sniff(next []byte) {
	const most = 512 // http.DetectContentType looks at no more
	if _, set := w.header["Content-Type"]; set || !bodyAllowed(w.status) {
		return
	}
	w.header["Content-Type"] = nil // none, and not to be guessed
	data := append(slices.Clip(w.waiting[:min(len(w.waiting), most)]), next[:min(len(next), most)]...)
	if len(data) > 0 && w.header.Get("Content-Encoding") == "" {
		w.header["Content-Type"] = []string{http.DetectContentType(data)}
	}
}

// announceTrailer prepares a response whose length isn't known. Trailers of the handler with names of the proof's end here.
func (w *responseWriter) announceTrailer() {
	w.hash = sha256.New()
	delete(w.header, "Content-Length") // trailers are for chunked content (RFC 9112, section 7.1.2)
	delete(w.header, "Content-Digest") // one that can't be relied on
	if ambiguous(w.header) {
		dropSignatures(w.header)
	}
	announced := slices.Clone(proofTrailer)
	for _, line := range w.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); !slices.Contains(proofTrailer, name) {
				announced = append(announced, name)
			}
		}
	}
	w.header["Trailer"] = []string{strings.Join(announced, ", ")}
}

// signTrailer signs a response that has ended. The signature isn't in the header, so that there may be others in that.
func (w *responseWriter) signTrailer() {
	m := &httpsig.Message{Status: w.status, Header: maps.Clone(w.header), Trailer: http.Header{
		"Content-Digest": {contentdigest.Field(contentdigest.SHA256, w.hash.Sum(nil))},
	}}
	dropSignatures(m.Header)
	fields, err := w.sign.sign(m, trailerDigestComponent)
	if err != nil {
		w.log("signing a response: " + err.Error())
		panic(http.ErrAbortHandler)
	}
	fields.Add(m.Trailer)
	live := w.w.Header()
	for _, name := range proofTrailer {
		delete(live, http.TrailerPrefix+name)
	}
	maps.Copy(live, m.Trailer)
}

// errUnsigned is what a handler gets from writing a response that can't be signed.
var errUnsigned = errors.New("holdfast: the response can't be signed")

// fail answers in place of a handler whose response can't be signed, such as one with a Location that isn't ASCII.
func (w *responseWriter) fail(err error) {
	w.log("signing a response: " + err.Error())
	w.err, w.waiting = errUnsigned, nil
	clear(w.w.Header())
	http.Error(w.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}

// hasContent tells whether the response has content, be it empty (RFC 9110, section 6.4.1).
func (w *responseWriter) hasContent() bool {
	return bodyAllowed(w.status) && w.sign.request.Method != http.MethodHead
}

// bodyAllowed tells whether responses with a status may have content.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// log tells the server's log, as net/http does of handlers' mistakes.
func (w *responseWriter) log(text string) {
	if w.server != nil && w.server.ErrorLog != nil {
		w.server.ErrorLog.Print("holdfast: " + text)
		return
	}
	log.Print("holdfast: " + text)
}
