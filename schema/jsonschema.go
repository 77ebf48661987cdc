package schema

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed workflow-schema.json
var schemaText string

// JSONSchema returns the JSON Schema (draft 2020-12) of a workflow
// definition's structure. It refers to no other document.
func JSONSchema() []byte { return []byte(schemaText) }

// compiledSchema panics if the embedded schema does not compile: then the
// program itself is broken, and no test of this package passes.
var compiledSchema = sync.OnceValue(func() *jsonschema.Schema {
	const url = "workflow-schema.json"
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schemaText))
	if err != nil {
		panic(fmt.Sprintf("read the embedded %s: %v", url, err))
	}
	c := jsonschema.NewCompiler()
	// A loader that knows no scheme: nothing is ever fetched.
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err := c.AddResource(url, doc); err != nil {
		panic(fmt.Sprintf("add the embedded %s: %v", url, err))
	}
	return c.MustCompile(url)
})

// fitsSchema reports whether a document, as readDocument gives it, has the
// structure of a definition. The error is nil or names what the schema missed
// in the schema's own terms.
func fitsSchema(doc any) error { return compiledSchema().Validate(doc) }
