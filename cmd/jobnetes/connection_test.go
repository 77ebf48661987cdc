package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(file(t, credentialsFile, "endpoint: dev:1\nusername: dev\npassword: devpass\nwebadmin: http://127.0.0.1:8081\n"))
	path := filepath.Join(dir, credentialsFile)
	empty := t.TempDir()
	settings := func() (credentials, string, error) {
		return credentials{Endpoint: "set:1", Username: "set", Password: "setpass"}, "/etc/jobnetes/config.yaml", nil
	}
	unread := func() (credentials, string, error) { return credentials{}, "", errors.New("the settings were read") }
	noPassword := func() (credentials, string, error) {
		return credentials{Endpoint: "127.0.0.1:50051", Username: "jobnetesadmin"}, "the default settings", nil
	}
	tests := map[string]struct {
		flags    clientOptions
		env      map[string]string
		settings func() (credentials, string, error)
		want     connection
		wantErr  string
	}{
		"flags before all": {
			clientOptions{endpoint: "flag:1", username: "flag", password: "flagpass", data: dir},
			map[string]string{envEndpoint: "env:1", envUsername: "env", envPassword: "envpass"}, unread,
			connection{"flag:1", "flag", "flagpass", "the flags", "the flags"}, "",
		},
		"environment before credentials": {
			clientOptions{data: dir}, map[string]string{envEndpoint: "env:1", envUsername: "env", envPassword: "envpass"}, unread,
			connection{"env:1", "env", "envpass", "the environment", "the environment"}, "",
		},
		"credentials before settings": {clientOptions{data: dir}, nil, unread, connection{"dev:1", "dev", "devpass", path, path}, ""},
		"folder from the environment": {clientOptions{}, map[string]string{envData: dir}, unread, connection{"dev:1", "dev", "devpass", path, path}, ""},
		"flag before the environment's folder": {
			clientOptions{data: empty}, map[string]string{envData: dir}, settings,
			connection{"set:1", "set", "setpass", "/etc/jobnetes/config.yaml", "/etc/jobnetes/config.yaml"}, "",
		},
		"each for itself": {
			clientOptions{endpoint: "flag:1", data: dir}, map[string]string{envUsername: "env"}, unread,
			connection{"flag:1", "env", "devpass", "the flags", path}, "",
		},
		"no password anywhere":              {clientOptions{}, nil, noPassword, connection{}, "or name its folder with --data"},
		"no password in the folder":         {clientOptions{data: empty}, nil, noPassword, connection{}, empty + " has no credentials"},
		"no password in the variable's one": {clientOptions{}, map[string]string{envData: empty}, noPassword, connection{}, empty + " has no credentials"},
		"broken settings":                   {clientOptions{data: empty}, nil, unread, connection{}, "the settings were read"},
		"broken credentials":                {clientOptions{data: filepath.Dir(file(t, credentialsFile, "endpoint: [1"))}, nil, settings, connection{}, "read the credentials"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.flags.resolveFrom(func(key string) string { return tc.env[key] }, tc.settings)
			if (err != nil) != (tc.wantErr != "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Fatalf("error %v, want one with %q", err, tc.wantErr)
			}
			if err == nil && got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
