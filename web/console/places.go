package console

import "slices"

// Place is an address in the house: what is shown there, or what a form that is sent
// there does. All of them are for who has a session; what one may do there the API
// decides.
type Place struct {
	Method  string
	Path    string // as a route has it, with :id for what differs
	Handler Handler
}

func get(path string, h Handler) Place  { return Place{"GET", path, h} }
func post(path string, h Handler) Place { return Place{"POST", path, h} }

// Places are all addresses in the house.
func Places() []Place {
	return slices.Concat(
		mePlaces,
		tokenPlaces,
		sessionPlaces,
		applicationPlaces,
		accountPlaces,
		manualPlaces,
	)
}
