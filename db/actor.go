package db

// Transports, as the audit names them.
const (
	TransportHTTP    = "http"    // TCP
	TransportSocket  = "socket"  // the control socket of a running server
	TransportOffline = "offline" // the same handler in the process of the command
)

// LocalActor is the id of the actor who owns the data file: the command line
// beside it.
const LocalActor = "local"

// Actor is who asks: the answer of the one place that turns a connection or a
// credential into rights. The zero value is nobody and may nothing.
type Actor struct {
	ID          string      // user id, LocalActor, or "" for nobody
	Name        string      // for the audit: an email, the single user's name, a uid
	User        *User       // nil for the local actor and for nobody; shared, read only
	Token       *Token      // the API token that was shown, if one was; shared, read only
	Session     *Session    // the session that was shown, if one was; shared, read only
	Permissions Permissions // what this actor may do now
	Transport   string      // TransportHTTP, TransportSocket or TransportOffline
	Address     string      // the client's address, without port; empty on the socket
	RequestID   string
	Profile     []byte // the profile as JSON where it is known; shared, read only
}

// Local tells whether the actor owns the data file.
func (a *Actor) Local() bool { return a.ID == LocalActor }

// SignedIn tells whether the actor is somebody.
func (a *Actor) SignedIn() bool { return a.ID != "" }

// Administrator tells whether the actor may do everything.
func (a *Actor) Administrator() bool { return a.Permissions.All() }
