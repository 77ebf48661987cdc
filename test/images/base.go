package images

import (
	"bytes"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nonroot is the id of the user and the group that programs run as. It and
// its home are those of gcr.io/distroless/static:nonroot, which the Dockerfile
// builds on.
const (
	nonroot     = 65532
	nonrootHome = "/home/nonroot"
)

// newBase gives the files that every image has below its programs.
func newBase() ([]file, error) {
	roots, err := tlsRoots()
	if err != nil {
		return nil, err
	}
	return []file{
		{path: "etc/group", mode: 0o644, data: []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")},
		{path: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/root:/sbin/nologin\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n" +
			"nonroot:x:65532:65532:nonroot:" + nonrootHome + ":/sbin/nologin\n")},
		{path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: roots},
		{path: "home/nonroot", mode: 0o700, owner: nonroot, folder: true},
		{path: "root", mode: 0o700, folder: true},
		{path: "tmp", mode: 0o1777, folder: true},
	}, nil
}

// tlsRoots gives the certificates that programs trust in TLS, PEM-encoded: a
// managed database's among them.
func tlsRoots() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		// A file cannot say "only what it signed until then": such a root is on
		// its way out.
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("encode the roots of TLS: %w", err)
		}
	}
	return out.Bytes(), nil
}
