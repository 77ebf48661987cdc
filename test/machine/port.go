package machine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Ports are taken from this range, which lies below the one that Linux picks
// from by itself (32768 and up): so nobody is handed such a port by chance, for
// a listener on port 0 or as the near end of a connection.
const (
	firstPort = 20000
	lastPort  = 31999
)

// Port gives a TCP port of 127.0.0.1 that a server may listen on at any later
// time, and again after a restart. No other process that asks Port gets the same
// one while this process lives.
func Port() (int, error) {
	const tries = 100
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if err := reserve(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("reserve a port: %d ports from %d to %d were all in use", tries, firstPort, lastPort)
}

// reserve locks a file that stands for the port until the process ends, and
// makes sure that nobody listens.
func reserve(port int) error {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("jobnetes-port-%d.lock", port))
	// A bare descriptor, which the garbage collector does not close.
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	return listener.Close()
}
