package db

// permissionTexts tell what each of Husk's own permissions allows.
var permissionTexts = map[string]string{
	PermSystemRead:      "read the server's health and settings, and the rules of the gate",
	PermAuditSearch:     "read, export and verify the audit log",
	PermTokenCreate:     "mint API tokens",
	PermTokenDelete:     "revoke one's own API tokens",
	PermTokenSearch:     "list one's own API tokens",
	PermTokenUpdate:     "change and rotate one's own API tokens",
	PermPermissionRead:  "list the permissions",
	PermPrincipalSearch: "find people by name and email",
	PermRoleCreate:      "make roles",
	PermRoleDelete:      "delete roles that nobody has",
	PermRoleRead:        "show a role",
	PermRoleSearch:      "list roles",
	PermRoleUpdate:      "change what roles grant",
	PermSessionDelete:   "end other people's sessions",
	PermSessionSearch:   "list and show other people's sessions",
	PermTokenIntrospect: "ask what a credential that was shown is worth, anybody's",
	PermUserCreate:      "make and import users",
	PermUserDelete:      "delete users",
	PermUserRead:        "show a user",
	PermUserSearch:      "list users",
	PermUserUpdate:      "change, disable, enable and unlock users",
	PermBackup:          "take backups, and check the store",
	PermKeys:            "list and rotate the signing keys",
}

// PermissionText tells what one of Husk's own permissions allows; "" for all
// others, which mean something to the applications that ask for them.
func PermissionText(key string) string { return permissionTexts[key] }
