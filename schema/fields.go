package schema

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
)

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// fits reports where a JSON value does not fit the Go type that it is going to
// be decoded into: unknown fields and wrong types, each with its own path. A
// decoder would stop at the first and not say in which element it is. null
// fits everything, as in the Kubernetes API.
func (d *decoder) fits(v any, t reflect.Type, at *path) {
	if v == nil {
		return
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		d.fitsUnmarshaler(v, t, at)
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		d.fits(v, t.Elem(), at)
	case reflect.Struct:
		if object, ok := v.(map[string]any); ok {
			d.fitsStruct(object, t, at)
		} else {
			d.wrongType(v, at, "an object")
		}
	case reflect.Map:
		if object, ok := v.(map[string]any); ok {
			for _, key := range slices.Sorted(maps.Keys(object)) {
				d.fits(object[key], t.Elem(), at.child(key))
			}
		} else {
			d.wrongType(v, at, "an object")
		}
	case reflect.Slice:
		d.fitsSlice(v, t, at)
	case reflect.String:
		if !isText(v) {
			d.wrongType(v, at, "a string"+quoteHint(v))
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			d.wrongType(v, at, "true or false")
		}
	case reflect.Int32, reflect.Int64:
		number, _ := v.(json.Number)
		if _, err := strconv.ParseInt(string(number), 10, t.Bits()); err != nil {
			d.wrongType(v, at, "a whole number of "+strconv.Itoa(t.Bits())+" bits")
		}
	}
}

func (d *decoder) wrongType(v any, at *path, want string) {
	if n, ok := v.(json.Number); ok {
		d.add(at, "is %s; it must be %s", n, want)
		return
	}
	d.add(at, "is %s; it must be %s", kindOf(v), want)
}

// fitsUnmarshaler is for the types that decode themselves: quantities, times,
// numbers that may be names.
func (d *decoder) fitsUnmarshaler(v any, t reflect.Type, at *path) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, reflect.New(t).Interface())
	}
	if err != nil {
		d.add(at, "is no %s: %v", t.Name(), err)
	}
}

func (d *decoder) fitsSlice(v any, t reflect.Type, at *path) {
	if t.Elem().Kind() == reflect.Uint8 {
		text, ok := v.(string)
		if _, err := base64.StdEncoding.DecodeString(text); !ok || err != nil {
			d.wrongType(v, at, "a string in base64")
		}
		return
	}
	array, ok := v.([]any)
	if !ok {
		d.wrongType(v, at, "an array")
		return
	}
	for i, element := range array {
		d.fits(element, t.Elem(), at.at(i))
	}
}

func (d *decoder) fitsStruct(object map[string]any, t reflect.Type, at *path) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		field, ok := fieldType(t, key)
		if !ok {
			d.add(at.child(key), "unknown field%s", unknownHint(key, t))
			continue
		}
		d.fits(object[key], field, at.child(key))
	}
}

// unknownHint says what may be meant by a key that struct t does not have.
func unknownHint(key string, t reflect.Type) string {
	if key == "indexed" && (t == reflect.TypeFor[batchv1.Job]() || t == reflect.TypeFor[batchv1.JobSpec]()) {
		return `; "indexed" belongs to the task, beside "job"`
	}
	return didYouMean(key, fieldNames(t))
}

// fieldType returns the type of the field of struct t that JSON calls name.
func fieldType(t reflect.Type, name string) (reflect.Type, bool) {
	for field := range t.Fields() {
		key, inline := jsonName(field)
		if inline {
			if found, ok := fieldType(field.Type, name); ok {
				return found, true
			}
		} else if key == name {
			return field.Type, true
		}
	}
	return nil, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for field := range t.Fields() {
		if key, inline := jsonName(field); inline {
			names = append(names, fieldNames(field.Type)...)
		} else {
			names = append(names, key)
		}
	}
	return names
}

// jsonName returns the name of a field in JSON, or that the fields of its
// struct stand in its place.
func jsonName(field reflect.StructField) (name string, inline bool) {
	name, _, _ = strings.Cut(field.Tag.Get("json"), ",")
	return name, field.Anonymous && name == ""
}
