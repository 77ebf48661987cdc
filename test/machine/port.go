package machine

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Port gives a TCP port of 127.0.0.1 that a server may listen on at any later
// time, and again after a restart. No port that the kernel picks for anybody
// else is the same one while this process lives.
//
// The port is held by a socket that is bound but never listens: Linux lets a
// second socket bind to the same address if both set SO_REUSEADDR, as servers
// do (Go's net.Listen, MariaDB), and does not hand the port out by itself.
func Port() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("reserve a port: open socket: %w", err)
	}
	port, err := bind(fd)
	if err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("reserve a port: %w", err)
	}
	return port, nil
}

func bind(fd int) (int, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	loopback := &unix.SockaddrInet4{Addr: [4]byte(net.IPv4(127, 0, 0, 1).To4())}
	if err := unix.Bind(fd, loopback); err != nil {
		return 0, fmt.Errorf("bind to 127.0.0.1: %w", err)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("read the port: %w", err)
	}
	return address.(*unix.SockaddrInet4).Port, nil
}
