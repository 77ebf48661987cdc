package schema

import (
	"os"
	"regexp"
	"testing"
)

// The definitions in the documentation are right.
func TestDocumentedDefinitionsParse(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/definition-language.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(?:json|yaml)\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 2 {
		t.Fatalf("the page has %d definitions, want the YAML and the JSON one", len(blocks))
	}
	for _, block := range blocks {
		if _, err := Parse(block[1]); err != nil {
			t.Errorf("Parse: %v\n%s", err, block[1])
		}
	}
}
