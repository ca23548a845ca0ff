package db

import (
	"slices"
	"strings"
)

// Distance is how many letters have to be typed otherwise to make b of a: left
// out, put in, taken for another, or two that changed places (optimal string
// alignment), by bytes. It takes the product of both lengths: bound them.
func Distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// nearPermission returns the one of Husk's own permissions that a key of valid
// form is most like, or "" where it is like none.
func nearPermission(key string, within int) (best string) {
	least := within + 1
	for _, own := range builtinPermissions {
		if d := Distance(key, own); d < least {
			best, least = own, d
		}
	}
	return best
}

// ownCategories are those of Husk's own permissions, which nobody adds to.
var ownCategories = []string{"coco", "generic"}

// What a key may be off and still be told as one of Husk's own: of their
// categories, and of others, where it is that category which is mistyped.
const (
	nearOwn   = 4
	nearOther = 2
)

// checkOwn refuses a key of valid form that looks like one of Husk's own and is
// none: whoever grants it means to grant something. All else is an operator's,
// for the applications behind.
func checkOwn(key string) error {
	category, _, _ := SplitPermission(key)
	within := nearOther
	if slices.Contains(ownCategories, category) {
		within = nearOwn
	}
	if key == PermAll || slices.Contains(builtinPermissions, key) || slices.Contains(cocoPermissions, key) {
		return nil
	}
	near := nearPermission(key, within)
	switch {
	case near != "":
		return fail(ErrInvalid, "unknown_permission", "there is no permission "+key+"; "+near+" is one: see the list of Husk's own")
	case within == nearOwn:
		return fail(ErrInvalid, "unknown_permission", "there is no permission "+key+"; generic# and coco# are for Husk's own: see their list, or name those of an application by another word")
	}
	return nil
}

// cocoPermissions are what a Coco Server asks for itself. Roles that come from
// there name them, and Husk asks for none of them.
var cocoPermissions = expandKeys(map[string]string{
	"coco#assistant":                 "create read update delete search ask quick_ai_access",
	"coco#attachment":                "create read update delete search",
	"coco#connector":                 "create read update delete search",
	"coco#datasource":                "create read update delete search",
	"coco#document":                  "create read update delete search",
	"coco#integration":               "create read update delete search update_suggest_topics view_suggest_topics",
	"coco#mcp_server":                "create read update delete search",
	"coco#model_provider":            "create read update delete search",
	"coco#search":                    "search",
	"coco#session":                   "create read update delete search view_all_session_history view_single_session_history",
	"coco#store:extensions":          "create read update delete search install reindex",
	"coco#system":                    "update",
	"generic#entity:card":            "read",
	"generic#entity:label":           "read",
	"generic#license":                "info apply",
	"generic#pipeline":               "admin create read update delete search",
	"generic#security:authorization": "create read update delete search",
	"generic#security:principal":     "update",
	"generic#sharing":                "create read update delete search",
})

// expandKeys makes the keys of resources and their actions.
func expandKeys(actions map[string]string) (keys []string) {
	for resource, all := range actions {
		for _, action := range strings.Fields(all) {
			keys = append(keys, resource+"/"+action)
		}
	}
	slices.Sort(keys)
	return keys
}
