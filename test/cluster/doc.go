// Package cluster gives tests a real Kubernetes API server with its controllers
// (Jobs, garbage collection, namespaces, service accounts, …) on etcd, all of
// Kubernetes 1.34.4, built from Go modules: no container registry, no image, no
// downloaded binary.
//
// It needs Linux and Go, no root. The first build takes about 8 minutes on two
// cores and some 200 MB under the user's cache folder; it is done once for all
// test processes, so run the first test with a -timeout of 30 minutes. If
// KUBECONFIG is set, tests use the cluster that it names and build nothing: they
// make and delete namespaces jobnetes-test-… there.
//
// There are no nodes here: [Cluster.PlayPods] plays kubelet to the pods of Jobs.
// Data and logs are removed at the end, unless JOBNETES_TEST_KEEP is set.
package cluster
