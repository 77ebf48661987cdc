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
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/jobnetes/jobnetes/test/box"
	"github.com/jobnetes/jobnetes/test/images"
	"github.com/jobnetes/jobnetes/test/machine"
)

// BoxArg is the first argument of the command that runs in the box of a cluster
// with a node; main then calls RunInBox with the folder.
const BoxArg = "run-in-box"

// readyFile is written when the node can run pods.
// It holds the run of the process that serves the cluster.
const readyFile = "ready"

// marker is a file that says that a folder is a cluster's, to be removed with all
// that is in it. It is the first to be made and the last to be removed.
const marker = ".jobnetes-cluster"

// boxed is what the box is told, by the file box.json in the cluster's folder.
type boxed struct {
	Programs  programs
	Images    []string // tarballs
	Simulated int      // nodes
	Run       string   // for the file ready
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
	l, err := takeLock(dir)
	if err != nil {
		return err
	}
	defer func() {
		if os.Getenv(machine.Keep) == "" {
			err = errors.Join(err, remove(dir))
		}
		err = errors.Join(err, l.release())
	}()
	if err := remove(dir); err != nil {
		return err
	}
	if err := prepare(ctx, dir, simulated, l.own.run); err != nil {
		return err
	}
	b, err := box.Start(box.Config{
		Name: boxName(dir), Command: []string{"/proc/self/exe", BoxArg, dir}, Log: filepath.Join(dir, "cluster.log"),
	})
	if err != nil {
		return err
	}
	// Before all else, so that nobody takes it for a cluster that stays.
	defer context.AfterFunc(ctx, func() { _ = os.Remove(filepath.Join(dir, readyFile)) })()
	err = b.Wait(ctx)
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, b.Stop())
}

// prepare makes the folder and all that the box needs in it.
func prepare(ctx context.Context, dir string, simulated int, run string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, marker), nil, 0o600); err != nil {
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
	told := boxed{Programs: built, Simulated: simulated, Run: run}
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
	if err := writeReady(dir, told.Run); err != nil {
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

// plain are the characters of a cluster's folder, and their capitals.
const plain = "abcdefghijklmnopqrstuvwxyz0123456789/-_."

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
	if i := strings.IndexFunc(dir, func(r rune) bool { return !strings.ContainsRune(plain, unicode.ToLower(r)) }); i >= 0 {
		return "", fmt.Errorf("folder %s: %q is not for the settings that the path goes into: choose one of letters, digits and %q", dir, dir[i:], plain[36:])
	}
	const limit = 80 // of the 107 bytes that the path of a Unix socket may have
	if len(dir) > limit {
		return "", fmt.Errorf("folder %s: its path has more than %d bytes, too many for sockets in it: choose a shorter one", dir, limit)
	}
	return dir, nil
}

// writeReady writes the file ready, whole at once.
func writeReady(dir, run string) error {
	path := filepath.Join(dir, readyFile)
	if err := os.WriteFile(path+".new", []byte(run), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// remove removes what a cluster that has ended has left, and nothing else. A box
// whose starter was killed may still be ending: its cgroups tell when it has.
func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return box.Clean(boxName(dir))
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, marker)); err != nil && len(entries) > 0 {
		return fmt.Errorf("folder %s is not empty, and not a cluster's: choose another, or remove it", dir)
	}
	if err := box.Clean(boxName(dir)); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != marker {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(dir)
}
