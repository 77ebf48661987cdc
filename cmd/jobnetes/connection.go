package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/jobnetes/jobnetes/setting"
)

// The environment of the commands for users. A job has the first one, too.
const (
	envEndpoint = "JOBNETES_JOBAPI_ENDPOINT"
	envUsername = "JOBNETES_JOBAPI_USERNAME"
	envPassword = "JOBNETES_JOBAPI_PASSWORD"
	envData     = "JOBNETES_DATA"
)

// defaultData is the data folder of `jobnetes dev` unless it is told another.
const defaultData = "./.jobnetes"

// credentialsFile is, in that folder, the file that says how to reach it.
const credentialsFile = "credentials"

// credentials are what `jobnetes dev` leaves for the commands.
type credentials struct {
	Endpoint string `json:"endpoint"` // of jobapi, host:port
	Username string `json:"username"`
	Password string `json:"password"`
	Webadmin string `json:"webadmin"` // its address, for people
}

// readCredentials reads the file; a folder without one has no credentials.
func readCredentials(path string) (credentials, error) {
	var c credentials
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = yaml.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read the credentials of `jobnetes dev`: %s: %w", path, err)
	}
	return c, nil
}

// connection is how to reach jobapi, and who said so.
type connection struct {
	endpoint, username, password string
	endpointFrom, passwordFrom   string
}

// take fills in what is still missing.
func (c *connection) take(endpoint, username, password, from string) {
	if c.endpoint == "" && endpoint != "" {
		c.endpoint, c.endpointFrom = endpoint, from
	}
	c.username = cmp.Or(c.username, username)
	if c.password == "" && password != "" {
		c.password, c.passwordFrom = password, from
	}
}

func (c *connection) complete() bool {
	return c.endpoint != "" && c.username != "" && c.password != ""
}

// resolve finds out how to reach jobapi. Each of endpoint, username and password
// is taken from the first that has it: flag, environment, credentials of
// `jobnetes dev`, settings. What is not needed is not read.
func (o *clientOptions) resolve() (connection, error) {
	return o.resolveFrom(os.Getenv, loadClientSettings)
}

func (o *clientOptions) resolveFrom(getenv func(string) string, settings func() (credentials, string, error)) (connection, error) {
	var c connection
	c.take(o.endpoint, o.username, o.password, "the flags")
	c.take(getenv(envEndpoint), getenv(envUsername), getenv(envPassword), "the environment")
	folder := cmp.Or(o.data, getenv(envData))
	if !c.complete() {
		path := filepath.Join(cmp.Or(folder, defaultData), credentialsFile)
		left, err := readCredentials(path)
		if err != nil {
			return c, err
		}
		c.take(left.Endpoint, left.Username, left.Password, path)
	}
	if !c.complete() {
		set, from, err := settings()
		if err != nil {
			return c, err
		}
		c.take(set.Endpoint, set.Username, set.Password, from)
	}
	switch {
	case c.password == "" && folder != "":
		return c, fmt.Errorf("no password for jobapi: %s has no %s of `jobnetes dev`: start it with --data %s, name its folder, or set %s",
			folder, credentialsFile, folder, envPassword)
	case c.password == "":
		return c, fmt.Errorf("no password for jobapi: start `jobnetes dev` here, or name its folder with --data, or set %s", envPassword)
	}
	return c, nil
}

// loadClientSettings returns what config.yaml says about jobapi, or the
// defaults, and where that comes from.
func loadClientSettings() (credentials, string, error) {
	s, err := setting.Load("")
	if err != nil {
		return credentials{}, "", err
	}
	return credentials{Endpoint: s.JobapiEndpoint(), Username: s.Jobapi.Username, Password: s.Jobapi.Password},
		cmp.Or(s.File, "the default settings"), nil
}
