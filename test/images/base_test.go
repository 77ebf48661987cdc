package images

import (
	"crypto/x509"
	"encoding/pem"
	"testing"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func TestTLSRootsAreThoseTrustedWithoutConditions(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			want[string(root.Certificate)] = true
		}
	}
	rest, err := tlsRoots()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		got++
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !certificate.IsCA || !want[string(block.Bytes)] {
			t.Errorf("%s is not to be trusted", certificate.Subject)
		}
	}
	if got != len(want) || got < 100 {
		t.Errorf("got %d certificates, want %d, and more than a hundred", got, len(want))
	}
}
