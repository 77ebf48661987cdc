package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/setting"
)

// logJSON is the value of log.format for machines.
const logJSON = "json"

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
			slog.SetDefault(log) // for what libraries say
			if s.File != "" {
				log.Info("settings read", "file", s.File)
			}
			err = run(cmd.Context(), s, log)
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				err = nil // it was told to end before it had begun
			}
			if err != nil && s.Log.Format == logJSON { // for whatever reads the log
				log.Error("the service ends with an error", "error", err)
				return errSaid
			}
			return err
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
	if s.Log.Format == logJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func dbConfig(s setting.Settings) db.Config {
	return db.Config{
		Driver: s.DB.Driver, User: s.DB.User, Password: s.DB.Password, Host: s.DB.Host, Port: s.DB.Port, Name: s.DB.Name,
		DSN: s.DB.DSN, Path: s.DB.Path, MaxConns: s.DB.MaxConns,
	}
}

// openOnce opens the database, without waiting for it. It refuses a schema that this build
// does not know. The caller calls done at the end.
func openOnce(ctx context.Context, s setting.Settings) (store *dao.Store, done func(), err error) {
	if s.DB.Driver == db.SQLite {
		if _, err := os.Stat(s.DB.Path); err != nil { // opening it would make an empty one
			return nil, nil, fmt.Errorf("db.path: %w: correct it, or make the database with `jobnetes migrate`", err)
		}
	}
	gdb, ping, err := db.OpenWithPing(ctx, dbConfig(s))
	if err != nil {
		return nil, nil, whichDatabase(s, err)
	}
	done = func() { _, _ = db.Close(gdb), db.Close(ping) }
	if err := db.CheckVersion(ctx, gdb); err != nil {
		done()
		return nil, nil, err
	}
	return dao.New(gdb).PingBy(ping), done, nil
}

// whichDatabase says where an address that does not answer comes from.
func whichDatabase(s setting.Settings, err error) error {
	from := "no settings file was found; --config names one"
	if s.File != "" {
		from = "from " + s.File + " and the environment"
	}
	return fmt.Errorf("%w (db.host, %s, and db.*: %s)", err, setting.Env("db.host"), from)
}

// shared is what the services share by the database.
type shared struct {
	tokenKey     []byte
	installation string
}

// readShared returns it. The first service to ask makes it.
func readShared(ctx context.Context, store *dao.Store) (shared, error) {
	fresh := make([]byte, token.MinKeyBytes)
	_, _ = rand.Read(fresh) // never fails
	key, err := store.Secret(ctx, dao.TokenKey, fresh, time.Now())
	if err != nil {
		return shared{}, err
	}
	installation, err := store.Secret(ctx, dao.Installation, []byte(strings.ToLower(rand.Text())), time.Now())
	return shared{key, string(installation)}, err
}

func newKubeClient(s setting.Settings, installation string, log *slog.Logger) (*kube.Client, error) {
	cfg := kubeConfig(s)
	rc, err := restConfig(s)
	if err != nil {
		return nil, err
	}
	klog.SetSlogLogger(log) // client-go logs through it
	cfg.Installation = installation
	return kube.New(rc, cfg, log)
}

// restConfig says how to reach the cluster, or what is wrong with the settings of
// that; it needs neither cluster nor database.
func restConfig(s setting.Settings) (*rest.Config, error) {
	if s.K8s.Mode == setting.ModeLocal {
		return nil, fmt.Errorf("k8s.mode is %s: Jobs as local processes are for `jobnetes dev` only, where one process sees them all", setting.ModeLocal)
	}
	return kube.RESTConfig(kubeConfig(s))
}

func kubeConfig(s setting.Settings) kube.Config {
	return kube.Config{
		InCluster: s.K8s.InCluster, ConfigPath: s.K8s.ConfigPath, MasterURL: s.K8s.MasterURL,
		Namespace: s.K8s.JobNamespace, RelistInterval: s.K8s.RelistInterval,
	}
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
