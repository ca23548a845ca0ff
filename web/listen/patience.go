package listen

import (
	"io"
	"net/http"
	"time"
)

// StallTimeout is how long a peer may stand still in the middle of a long body or
// answer.
const StallTimeout = time.Minute

// Patient lifts the time limit of a request's whole body, for one that is long:
// only a piece of it that does not come ends it.
func Patient(r *http.Request, patience time.Duration) {
	if b, ok := r.Body.(*body); ok {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.patience = patience
	}
}

// PatientWriter gives up a receiver that takes nothing any more; one that is
// slow may take as long as it takes.
type PatientWriter struct {
	Sent int64 // bytes that were taken

	w        io.Writer
	control  *http.ResponseController
	patience time.Duration
}

// NewPatientWriter writes an answer, of which each piece may take patience.
func NewPatientWriter(w http.ResponseWriter, patience time.Duration) *PatientWriter {
	return &PatientWriter{w: w, control: http.NewResponseController(w), patience: patience}
}

// Write implements io.Writer.
func (p *PatientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.patience))
	n, err := p.w.Write(b)
	p.Sent += int64(n)
	return n, err
}
