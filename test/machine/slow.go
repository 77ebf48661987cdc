package machine

import (
	"os"
	"testing"
)

// AllTests is the environment variable that `make test` sets to run every test.
const AllTests = "JOBNETES_TEST_ALL"

// Slow skips a test that takes long to set up (a cluster, a browser), unless
// every test is asked for: `go test ./...` alone stays quick.
func Slow(t testing.TB) {
	t.Helper()
	if os.Getenv(AllTests) == "" {
		t.Skipf("slow: runs with `make test`, or with %s=1", AllTests)
	}
}
