package fsys

import "golang.org/x/sys/windows"

// NoAccess is what the system answers to who may not.
const NoAccess = windows.ERROR_ACCESS_DENIED
