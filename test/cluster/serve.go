package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/jobnetes/jobnetes/test/box"
	"github.com/jobnetes/jobnetes/test/images"
	"github.com/jobnetes/jobnetes/test/machine"
)

// BoxArg is the first argument of the command that runs in the box of a cluster
// with a node; main then calls RunInBox with the folder.
const BoxArg = "run-in-box"

// readyFile is written when the node can run pods.
const readyFile = "ready"

// boxed is what the box is told, by the file box.json in the cluster's folder.
type boxed struct {
	Programs  programs
	Images    []string // tarballs
	Simulated int      // nodes
}

// boxName gives the name of the box of the cluster in dir, the same each time.
func boxName(dir string) string {
	hash := sha256.Sum256([]byte(dir))
	return "jobnetes-" + hex.EncodeToString(hash[:4])
}

// Serve runs a Kubernetes with one real node, and simulated ones beside it, in
// the folder dir until ctx ends. What an earlier one has left there is removed
// first, and all of it at the end. It fails if the folder has a running one.
func Serve(ctx context.Context, dir string, simulated int) (err error) {
	dir, err = checkFolder(dir)
	if err != nil {
		return err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return err
	}
	defer func() {
		if os.Getenv(machine.Keep) == "" {
			err = errors.Join(err, remove(dir))
		}
		err = errors.Join(err, os.Remove(dir+".lock"), lock.Close())
	}()
	if err := remove(dir); err != nil {
		return err
	}
	if err := prepare(ctx, dir, simulated); err != nil {
		return err
	}
	b, err := box.Start(box.Config{
		Name: boxName(dir), Command: []string{"/proc/self/exe", BoxArg, dir}, Log: filepath.Join(dir, "cluster.log"),
	})
	if err != nil {
		return err
	}
	err = b.Wait(ctx)
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, b.Stop())
}

// prepare makes the folder and all that the box needs in it.
func prepare(ctx context.Context, dir string, simulated int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	built, err := buildPrograms(ctx)
	if err != nil {
		return err
	}
	made, err := images.Build(ctx, filepath.Join(dir, "images"), "pause", "busybox")
	if err != nil {
		return err
	}
	told := boxed{Programs: built, Simulated: simulated}
	for _, image := range made {
		told.Images = append(told.Images, image.Tarball)
	}
	data, err := json.Marshal(told)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "box.json"), data, 0o600)
}

// RunInBox runs the cluster of Serve until one of its parts ends.
func RunInBox(ctx context.Context, dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "box.json"))
	if err != nil {
		return err
	}
	var told boxed
	if err := json.Unmarshal(data, &told); err != nil {
		return fmt.Errorf("read box.json: %w", err)
	}
	address, err := ownAddress()
	if err != nil {
		return err
	}
	startCtx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	plane := &plane{binary: told.Programs.Control, dir: dir, address: address, port: 6443}
	c, err := startPlane(startCtx, plane)
	if err != nil {
		return err
	}
	n := &node{plane: plane, programs: told.Programs, images: told.Images}
	processes, err := n.start(startCtx, c.Client)
	if err != nil {
		return err
	}
	if err := addSimulated(startCtx, c.Client, told.Simulated); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, readyFile), nil, 0o600); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, process := range append(processes, plane.etcd, plane.apiServer, plane.controllers) {
		g.Go(func() error {
			if err := process.Wait(ctx); err != nil {
				return err
			}
			return process.Err() // none should end
		})
	}
	return g.Wait()
}

// ownAddress gives the address of this box, at its link.
func ownAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("read this box's addresses: %w", err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", errors.New("this box has no address but loopback")
}

// checkFolder gives dir as an absolute path. A box has its own /run, /var/lib
// and /var/log, so a folder there would not be the same inside and outside; and
// the path of a socket is limited.
func checkFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, own := range []string{"/run", "/var/run", "/var/lib", "/var/log"} {
		if dir == own || strings.HasPrefix(dir, own+"/") {
			return "", fmt.Errorf("folder %s: the cluster has a %s of its own: choose a folder elsewhere", dir, own)
		}
	}
	const limit = 80 // of the 107 bytes that the path of a Unix socket may have
	if len(dir) > limit {
		return "", fmt.Errorf("folder %s: its path has more than %d bytes, too many for sockets in it: choose a shorter one", dir, limit)
	}
	return dir, nil
}

// remove removes what a cluster that has ended has left.
func remove(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return box.Clean(boxName(dir))
	}
	if !isCluster(dir) {
		return fmt.Errorf("folder %s is not empty, and not a cluster's: choose another, or remove it", dir)
	}
	// A box whose starter was killed may still be ending: its cgroups tell when
	// it has.
	return errors.Join(box.Clean(boxName(dir)), os.RemoveAll(dir))
}

// isCluster says whether what is in the folder, if anything, is a cluster.
func isCluster(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, name := range []string{"images", "box.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return len(entries) == 0
}
