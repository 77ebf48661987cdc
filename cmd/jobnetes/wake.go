package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/manager"
	"github.com/jobnetes/jobnetes/setting"
	"github.com/jobnetes/jobnetes/wake"
)

// newWaker wakes the managers that live, those that hold the least: if there is room
// for an execution, it is there.
func newWaker(s setting.Settings, store *dao.Store, log *slog.Logger) *wake.Waker {
	return wake.New(wake.Config{
		Addresses: func(ctx context.Context) ([]string, error) {
			return store.Addresses(ctx, time.Now().Add(-s.Manager.Lease), wake.MaxManagers)
		},
		Log: log,
	})
}

// wakeable has the manager woken, once there is one.
type wakeable struct {
	manager atomic.Pointer[manager.Manager]
}

func (w *wakeable) set(m *manager.Manager) { w.manager.Store(m) }

// Started tells the manager.
func (w *wakeable) Started(at time.Time) {
	if m := w.manager.Load(); m != nil {
		m.Started(at)
	}
}

// Cancelled tells the manager.
func (w *wakeable) Cancelled() {
	if m := w.manager.Load(); m != nil {
		m.Cancelled()
	}
}

// managerAddress returns where others reach the manager's monitor, as host:port; empty
// if it has none.
func managerAddress(ctx context.Context, s setting.Settings) (string, error) {
	if s.Manager.MetricsPort == 0 {
		return "", nil
	}
	host, port := s.Manager.AdvertiseAddress, strconv.Itoa(s.Manager.MetricsPort)
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	if host == "" {
		host = s.Manager.BindAddress
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		if host, err = hostFacing(ctx, s); err != nil {
			return "", err
		}
	}
	return net.JoinHostPort(host, port), nil
}

// hostFacing returns the address of this computer by which it reaches the database.
func hostFacing(ctx context.Context, s setting.Settings) (string, error) {
	network, address, err := db.Address(dbConfig(s))
	if err != nil {
		return "", err
	}
	if network != "tcp" { // a file or a socket: whoever shares it is here
		return "127.0.0.1", nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", address) // which sends nothing, but finds the way
	if err != nil {
		return "", fmt.Errorf("find the address by which the database is reached: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}
