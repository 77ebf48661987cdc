package box

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/jobnetes/jobnetes/test/machine"
)

const (
	// links is how many boxes a machine has room for: link n has the addresses
	// 10.89.n.1, near, and 10.89.n.2, far.
	links = 255
	// installTimeout bounds the installation of the command ip.
	installTimeout = 5 * time.Minute
	// commandTimeout bounds each call of it.
	commandTimeout = 30 * time.Second
)

// link is the pair of interfaces between a box and its machine.
type link struct {
	index     int
	name, far string       // of the near and the far interface
	ip        string       // path of the command
	release   func() error // of the link's index, for other boxes
}

// newLink finds a link that no other box has, and no other network's addresses.
func newLink() (link, error) {
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	ip, err := machine.Require(ctx, "ip", "iproute2")
	if err != nil {
		return link{}, err
	}
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return link{}, fmt.Errorf("read this machine's addresses: %w", err)
	}
	for n := range links {
		l := link{index: n, name: "jobnetes" + strconv.Itoa(n), far: "jobnetes" + strconv.Itoa(n) + "f", ip: ip}
		if overlaps(taken, netip.MustParsePrefix(l.nearAddress())) {
			continue
		}
		if l.release, err = machine.Reserve("link-" + strconv.Itoa(n)); err == nil {
			return l, nil
		}
	}
	return link{}, fmt.Errorf("no room for another box: all of 10.89.0.0 to 10.89.%d.0 are in use on this machine", links-1)
}

func overlaps(taken []net.Addr, with netip.Prefix) bool {
	for _, a := range taken {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Masked().Overlaps(with.Masked()) {
			return true
		}
	}
	return false
}

func (l link) near() string        { return fmt.Sprintf("10.89.%d.1", l.index) }
func (l link) nearAddress() string { return l.near() + "/30" }
func (l link) farAddress() string  { return fmt.Sprintf("10.89.%d.2/30", l.index) }

// connect makes the pair and gives the far end to the network of a process.
func (l link) connect(pid int) error {
	for _, args := range [][]string{
		{"link", "add", l.name, "type", "veth", "peer", "name", l.far},
		{"link", "set", l.far, "netns", strconv.Itoa(pid)},
		{"address", "add", l.nearAddress(), "dev", l.name},
		{"link", "set", l.name, "up"},
	} {
		if err := run(l.ip, args...); err != nil {
			return err
		}
	}
	return nil
}

// remove removes what is left of the pair. The kernel does so by itself soon
// after the box's end; this is only not to wait for it.
func (l link) remove() error {
	if _, err := net.InterfaceByName(l.name); err == nil {
		if err := run(l.ip, "link", "delete", l.name); err != nil {
			if _, still := net.InterfaceByName(l.name); still == nil {
				return err
			}
		}
	}
	return l.release()
}

// arrive sets up the far end, in the box.
func arrive(ip, far, address, near string) error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", address, "dev", far},
		{"link", "set", far, "up"},
		{"route", "add", "default", "via", near},
	} {
		if err := run(ip, args...); err != nil {
			return err
		}
	}
	return nil
}
