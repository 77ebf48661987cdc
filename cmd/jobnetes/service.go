package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/setting"
)

// serviceCommand is a subcommand that reads the settings and then runs until
// its context ends.
func serviceCommand(use, short string, run func(ctx context.Context, s setting.Settings, log *slog.Logger) error) *cobra.Command {
	var config string
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := setting.Load(config)
			if err != nil {
				return err
			}
			log := newLogger(cmd.ErrOrStderr(), s).With("service", use)
			if s.File != "" {
				log.Info("settings read", "file", s.File)
			}
			return run(cmd.Context(), s, log)
		},
	}
	configFlag(c, &config)
	return c
}

func configFlag(c *cobra.Command, config *string) {
	c.Flags().StringVar(config, "config", "", "settings file (default: config.yaml in /etc/jobnetes or ~/.jobnetes)")
}

func newLogger(w io.Writer, s setting.Settings) *slog.Logger {
	level, _ := s.LogLevel() // has been checked
	opts := &slog.HandlerOptions{Level: level}
	if s.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func dbConfig(s setting.Settings) db.Config {
	return db.Config{
		Driver: s.DB.Driver, User: s.DB.User, Password: s.DB.Password, Host: s.DB.Host, Port: s.DB.Port, Name: s.DB.Name, Path: s.DB.Path,
	}
}

// openStore opens the database for a service. It refuses a schema that this
// build does not know.
func openStore(ctx context.Context, s setting.Settings) (*gorm.DB, *dao.Store, error) {
	gdb, err := db.Open(ctx, dbConfig(s))
	if err != nil {
		return nil, nil, err
	}
	if err := db.CheckVersion(ctx, gdb); err != nil {
		_ = db.Close(gdb)
		return nil, nil, err
	}
	return gdb, dao.New(gdb), nil
}

// tokenKey returns the key of task tokens. The first service to ask makes it.
func tokenKey(ctx context.Context, store *dao.Store) ([]byte, error) {
	fresh := make([]byte, token.MinKeyBytes)
	_, _ = rand.Read(fresh) // never fails
	return store.Secret(ctx, dao.TokenKey, fresh, time.Now())
}

func newKubeClient(s setting.Settings, log *slog.Logger) (*kube.Client, error) {
	if s.K8s.Mode == setting.ModeLocal {
		return nil, fmt.Errorf("k8s.mode is %s: Jobs as local processes are for `jobnetes dev` only, where one process sees them all", setting.ModeLocal)
	}
	cfg := kube.Config{
		InCluster: s.K8s.InCluster, ConfigPath: s.K8s.ConfigPath, MasterURL: s.K8s.MasterURL,
		Namespace: s.K8s.JobNamespace, RelistInterval: s.K8s.RelistInterval,
	}
	rc, err := kube.RESTConfig(cfg)
	if err != nil {
		return nil, err
	}
	return kube.New(rc, cfg, log)
}

// ownerName is unique to this process, and tells a reader which one it is.
func ownerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

// listen takes a port; key is the setting that it is from. An empty host is
// every address of this computer.
func listen(ctx context.Context, key, host string, port int) (net.Listener, error) {
	var config net.ListenConfig
	lis, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: choose another port by %s", key, err, setting.Env(key))
	}
	return lis, nil
}
