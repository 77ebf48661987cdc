package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// typeNames are the values of a task's type, and which type each stands for.
var typeNames = map[string]Type{
	"kube-job": KubeJob, "kubejob": KubeJob,
	"parallel": Parallel, "parallel-job": Parallel,
	"branch": Branch, "choice": Branch, "choice-job": Branch,
}

// typeOrder lists them for people.
var typeOrder = []string{"kube-job", "kubejob", "parallel", "parallel-job", "branch", "choice", "choice-job"}

// taskKeys are the properties that every task may have.
var taskKeys = []string{"name", "type", "description"}

// typeKeys are the properties that only tasks of some types may have.
var typeKeys = map[Type][]string{
	KubeJob:  {"next", "job", "indexed"},
	Parallel: {"next", "task-sets"},
	Branch:   {"tasks", "default"},
}

// ownKey is the property that shows a task's type where the type itself is wrong.
var ownKey = map[Type]string{KubeJob: "job", Parallel: "task-sets", Branch: "tasks"}

// taskType returns a task's type, or "" if it is missing or unknown.
func (d *decoder) taskType(object map[string]any, at *path) Type {
	name := d.requiredText(object, at, "a task", "type")
	if !isText(object["type"]) {
		return ""
	}
	t, ok := typeNames[name]
	if !ok {
		d.add(at.child("type"), "there is no type %q; the types are %s%s", name, listed(typeOrder, "and"), suggestion(string(typeNames[closest(name, typeOrder)])))
	}
	return t
}

// shapeOf returns the type by which a task's properties are to be read: its
// type, or what its properties suggest if that is unknown.
func shapeOf(object map[string]any, t Type) Type {
	if t != "" {
		return t
	}
	for _, t := range []Type{KubeJob, Parallel, Branch} {
		if _, ok := object[ownKey[t]]; ok {
			return t
		}
	}
	return ""
}

// checkTaskKeys reports the properties that a task of type t does not have.
func (d *decoder) checkTaskKeys(object map[string]any, at *path, t Type) {
	if t == "" {
		all := slices.Concat(taskKeys, typeKeys[KubeJob], typeKeys[Parallel], typeKeys[Branch])
		d.checkKeys(object, at, "a task", all)
		return
	}
	known := slices.Concat(taskKeys, typeKeys[t])
	others := maps.Clone(object)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		owners := ownersOf(key)
		if len(owners) == 0 || slices.Contains(known, key) {
			continue
		}
		delete(others, key)
		if t == Branch && key == "next" {
			d.add(at.child(key), "a branch has no next; its choices and its default name what follows")
			continue
		}
		d.add(at.child(key), "a %s does not use %q, only a %s does; remove it or change the type", t, key, listed(owners, "or a"))
	}
	d.checkKeys(others, at, "a "+string(t), known)
}

// ownersOf returns the types that have a property which not every task has.
func ownersOf(key string) []string {
	var owners []string
	for _, t := range []Type{KubeJob, Parallel, Branch} {
		if slices.Contains(typeKeys[t], key) {
			owners = append(owners, string(t))
		}
	}
	return owners
}

// checkKeys reports the keys of an object that are neither known nor, by
// beginning with x-, the user's own.
func (d *decoder) checkKeys(object map[string]any, at *path, what string, known []string) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if slices.Contains(known, key) || strings.HasPrefix(key, "x-") {
			continue
		}
		hint := didYouMean(key, known)
		if hint == "" {
			hint = fmt.Sprintf("; %s has %s, and x-... for your own", what, listed(known, "and"))
		}
		d.add(at.child(key), "unknown property%s", hint)
	}
}

// requiredText returns a string property; what names the object that needs it.
func (d *decoder) requiredText(object map[string]any, at *path, what, key string) string {
	if _, ok := object[key]; !ok {
		d.add(at, "%s needs %q, a string", what, key)
		return ""
	}
	return d.optionalText(object, at, key)
}

// optionalText returns a string property, or "" if it is missing.
func (d *decoder) optionalText(object map[string]any, at *path, key string) string {
	v, ok := object[key]
	if !ok {
		return ""
	}
	text, ok := v.(string)
	if !ok {
		d.add(at.child(key), "is %s; it must be a string%s", kindOf(v), quoteHint(v))
	}
	return text
}

// quoteHint reminds of YAML, where 1.0 and true are no strings.
func quoteHint(v any) string {
	switch v.(type) {
	case json.Number, bool:
		return ", so put it in quotes"
	}
	return ""
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

// kindOf names the kind of a JSON value.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}
