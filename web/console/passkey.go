package console

// passkeyPlaces are the addresses of one's own passkeys.
var passkeyPlaces = []Place{}
