package machine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
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

// reserve takes the port until the process ends, and makes sure that nobody
// listens.
func reserve(port int) error {
	release, err := Reserve("port-" + strconv.Itoa(port))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return errors.Join(err, release())
	}
	return listener.Close()
}

// Reserve takes a name among all processes of the machine, until release or the
// end of this process. It fails at once if another process has it.
//
// The name is that of an abstract Unix socket, which leaves no file behind
// (unix(7)).
func Reserve(name string) (release func() error, err error) {
	// A bare descriptor, which the garbage collector does not close.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@jobnetes-" + name}); err != nil {
		return nil, errors.Join(fmt.Errorf("reserve %s: %w", name, err), unix.Close(fd))
	}
	return func() error { return unix.Close(fd) }, nil
}
