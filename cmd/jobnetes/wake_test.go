package main

import (
	"testing"

	"github.com/jobnetes/jobnetes/setting"
)

func TestManagerAddress(t *testing.T) {
	t.Parallel()
	remote := setting.DB{Driver: "mysql", Host: "127.0.0.2", Port: 3306}
	cases := map[string]struct {
		manager setting.Manager
		db      setting.DB
		want    string
	}{
		"as the database is reached":  {setting.Manager{MetricsPort: 9090}, remote, "127.0.0.1:9090"},
		"a DSN":                       {setting.Manager{MetricsPort: 9090}, setting.DB{Driver: "mysql", DSN: "u:p@tcp(127.0.0.2:3306)/x"}, "127.0.0.1:9090"},
		"a socket":                    {setting.Manager{MetricsPort: 9090}, setting.DB{Driver: "mysql", DSN: "u:p@unix(/run/mysqld.sock)/x"}, "127.0.0.1:9090"},
		"SQLite":                      {setting.Manager{MetricsPort: 9090}, setting.DB{Driver: "sqlite", Path: "x.db"}, "127.0.0.1:9090"},
		"no monitor":                  {setting.Manager{AdvertiseAddress: "pod"}, remote, ""},
		"a host":                      {setting.Manager{MetricsPort: 9090, AdvertiseAddress: "manager-1"}, remote, "manager-1:9090"},
		"a host and a port":           {setting.Manager{MetricsPort: 9090, AdvertiseAddress: "10.0.0.7:30090"}, remote, "10.0.0.7:30090"},
		"a pod's IPv6 address":        {setting.Manager{MetricsPort: 9090, AdvertiseAddress: "fd00::7"}, remote, "[fd00::7]:9090"},
		"IPv6 and a port":             {setting.Manager{MetricsPort: 9090, AdvertiseAddress: "[fd00::7]:1"}, remote, "[fd00::7]:1"},
		"where it listens":            {setting.Manager{MetricsPort: 9090, BindAddress: "127.0.0.3"}, remote, "127.0.0.3:9090"},
		"it listens on every address": {setting.Manager{MetricsPort: 9090, BindAddress: "0.0.0.0"}, remote, "127.0.0.1:9090"},
		"it listens here by name":     {setting.Manager{MetricsPort: 9090, BindAddress: "localhost"}, remote, "localhost:9090"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := managerAddress(t.Context(), setting.Settings{Manager: tc.manager, DB: tc.db})
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}
