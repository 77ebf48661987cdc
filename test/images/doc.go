// Package images builds container images without Docker and without a registry.
// An image is a tarball that is an OCI layout and a Docker archive in one, as
// `docker save` writes them, so that
//
//	ctr --namespace k8s.io images import jobnetes.tar
//	docker load --input jobnetes.tar
//	podman load --input jobnetes.tar
//	kind load image-archive jobnetes.tar
//	crane push jobnetes.tar REGISTRY/jobnetes:TAG
//	skopeo copy oci-archive:jobnetes.tar docker://REGISTRY/jobnetes:TAG
//
// all take it. Layers are not compressed: what pushes them compresses them.
//
// There are two images for users, which `make images` builds:
//
//   - jobnetes: the binary at /jobnetes.
//   - jobnetes-example-client: the programs of example/jobapi-client, at
//     /start_workflow and /record_task_output. The client in Python has no
//     image: it needs an interpreter and grpcio, hence a base image out of a
//     registry.
//
// and two for tests only:
//
//   - busybox: Debian's busybox-static with a link for each applet, a shell
//     for jobs of tests. It runs as root.
//   - pause: the first process of each pod on the test cluster's node.
//
// The others run as 65532 (nonroot), and hold static binaries and no shell.
// Below the programs there is what gcr.io/distroless/static has and jobnetes
// uses: users, /tmp, and the roots of TLS. Those come from
// golang.org/x/crypto/x509roots, Mozilla's list at a version that go.mod names,
// not from the machine that builds, whose list may hold a company's own.
//
// The same sources give the same bytes with the same Go, on any machine and in
// any folder: files are sorted and dated 1970, and binaries are built with
// -trimpath and without the state of the git checkout, which is in the tag, the
// version that the binary prints, and the label of the revision.
package images
