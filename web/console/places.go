package console

import "slices"

// Place is an address in the house: what is shown there, or what a form that is sent
// there does. All of them are for who has a session; what one may do there the API
// decides.
type Place struct {
	Method  string
	Path    string // as a route has it, with :id for what differs
	Handler Handler
	Long    bool // it takes as long as it takes: the API walks much of the store for it
}

func get(path string, h Handler) Place  { return Place{Method: "GET", Path: path, Handler: h} }
func post(path string, h Handler) Place { return Place{Method: "POST", Path: path, Handler: h} }

// long is a place whose answer has no time limit.
func long(p Place) Place { p.Long = true; return p }

// Places are all addresses in the house.
func Places() []Place {
	return slices.Concat(
		mePlaces,
		tokenPlaces,
		sessionPlaces,
		applicationPlaces,
		accountPlaces,
		factorPlaces,
		passkeyPlaces,
		manualPlaces,
		userPlaces,
		importPlaces,
		rolePlaces,
		allSessionPlaces,
		auditPlaces,
		rulePlaces,
		overviewPlaces,
		systemPlaces,
		backupPlaces,
		keyPlaces,
		settingPlaces,
	)
}
