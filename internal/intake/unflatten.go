package intake

import (
	"slices"
	"strconv"
	"strings"
)

// Zapier's convention for nested data: the parts of a path, joined.
const (
	separator    = "__"
	maxPathParts = 6 // the last one keeps whatever is left
)

// flatKeys are the keys of object that stand for a path, sorted: "a__b" comes
// before "a__b__c", so which of two that exclude each other wins does not depend
// on the order in which a map is walked.
func flatKeys(object map[string]any) []string {
	var keys []string
	for key := range object {
		if strings.Contains(key, separator) && !strings.HasPrefix(key, separator) && !strings.HasSuffix(key, separator) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// unflatten moves the values of keys to where their paths lead. It adds to what
// is there and replaces nothing; a key whose path leads through something that is
// not an object stays.
func unflatten(object map[string]any, keys []string) {
	var made []node
	for _, key := range keys {
		path := strings.SplitN(key, separator, maxPathParts)
		end := len(path) - 1
		parent, grown, ok := descend(object, path[:end], made)
		if !ok {
			continue
		}
		made = grown
		if _, taken := parent[path[end]]; !taken {
			parent[path[end]] = object[key]
		}
		delete(object, key)
	}
	for _, n := range slices.Backward(made) { // inner ones first
		if list, ok := asList(n.object); ok {
			n.parent[n.name] = list
		}
	}
}

// node is an object that unflatten made, with where it hangs.
type node struct {
	parent map[string]any
	name   string
	object map[string]any
}

// descend follows path from object and makes what is missing. It refuses before
// it makes anything: below what it made there is nothing in the way.
func descend(object map[string]any, path []string, made []node) (map[string]any, []node, bool) {
	for _, name := range path {
		next, taken := object[name]
		child, isObject := next.(map[string]any)
		switch {
		case !taken:
			child = map[string]any{}
			object[name] = child
			made = append(made, node{object, name, child})
		case !isObject:
			return nil, nil, false
		}
		object = child
	}
	return object, made, true
}

// asList reads an object with the names 0, 1, … as the list it was before it was
// flattened.
func asList(object map[string]any) ([]any, bool) {
	list := make([]any, len(object))
	for i := range list {
		value, ok := object[strconv.Itoa(i)]
		if !ok {
			return nil, false
		}
		list[i] = value
	}
	return list, true
}
