package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/yaml"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi"
	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/manager/local"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/setting"
	"github.com/jobnetes/jobnetes/webadmin"
)

const devLong = `Run everything in one process, for trying out and for developing workflows:
manager, jobapi and webadmin on a SQLite database, with the containers of Jobs
as processes of this computer. No cluster and no server are needed.

Images are not used: a container's command runs as it would in your shell, with
your rights. Only this computer can reach the services. All data are in one
folder; executions and Jobs in flight go on when dev is started again.`

// dev is what `jobnetes dev` is made of.
type dev struct {
	dir      string
	settings setting.Settings
	log      *slog.Logger
	out      io.Writer

	store   *dao.Store
	jobs    *local.Runner
	manager *manager.Manager
	jobapi  *jobapi.Server
	pages   *webadmin.Server

	jobapiLis, webadminLis net.Listener
}

func newDevCommand() *cobra.Command {
	var (
		data, config string
		files        []string
	)
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this computer, without a cluster or a server",
		Long:  devLong,
		Args:  none("; --data DIR names the folder, --run FILE a definition"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDev(cmd, cmp.Or(data, os.Getenv(envData), defaultData), config, files)
		},
	}
	c.Flags().StringVar(&data, "data", "", "`DIR` of the data (env "+envData+", default "+defaultData+")")
	c.Flags().StringVar(&config, "config", "", "settings file (default: none but the environment)")
	c.Flags().StringArrayVar(&files, "run", nil, "definition `FILE` to apply and start; may be repeated")
	return c
}

func runDev(cmd *cobra.Command, dir, config string, files []string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	s, err := setting.LoadDev(dir, config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	d := &dev{dir: dir, settings: s, log: newLogger(cmd.ErrOrStderr(), s), out: cmd.OutOrStdout()}
	ctx := cmd.Context()
	if err := d.open(ctx); err != nil {
		return err
	}
	return d.run(ctx, files)
}

// open makes all parts, in the order in which they depend on one another. The
// process's end closes what is open if one fails.
func (d *dev) open(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	// First, since it takes the lock that keeps a second dev off the folder.
	d.jobs, err = local.New(local.Config{Dir: d.dir, Runner: []string{self, jobRunner}, Slots: d.settings.K8s.LocalSlots, BackoffBase: time.Second, Log: d.log})
	if err != nil {
		return err
	}
	if err := d.openStore(ctx); err != nil {
		return err
	}
	if err := d.listen(ctx); err != nil {
		return err
	}
	if err := d.writeCredentials(); err != nil {
		return err
	}
	common, err := readShared(ctx, d.store)
	if err != nil {
		return err
	}
	tokens, err := token.NewTokens(common.tokenKey)
	if err != nil {
		return err
	}
	cfg := managerConfig(d.settings)
	cfg.Owner, cfg.Installation = devOwner, common.installation
	if d.manager, err = manager.New(cfg, d.store, d.jobs, tokens, d.log); err != nil {
		return err
	}
	if d.jobapi, err = newJobapiServer(d.settings, common, d.store, d.jobs, d.manager, d.log); err != nil {
		return err
	}
	d.pages, err = webadmin.New(webadmin.Config{LoopbackOnly: true, Version: version()}, d.store, d.jobs, d.log)
	return err
}

func (d *dev) openStore(ctx context.Context) error {
	gdb, ping, err := db.OpenWithPing(ctx, dbConfig(d.settings))
	if err != nil {
		return err
	}
	if _, err := db.Migrate(ctx, gdb); err != nil {
		return err
	}
	d.store = dao.New(gdb).PingBy(ping)
	// A dev that was killed holds its leases still. The folder's lock says that
	// it is gone, so nobody needs to wait for their end.
	return d.store.Bury(ctx, devOwner, time.Now())
}

// devOwner is the manager's name: there is one dev for a folder at a time.
const devOwner = "dev"

// listen takes the ports, on loopback only: whoever can start a workflow runs
// commands on this computer.
func (d *dev) listen(ctx context.Context) error {
	var errAPI, errPages error
	d.jobapiLis, errAPI = listen(ctx, "jobapi.port", "127.0.0.1", d.settings.Jobapi.Port)
	d.webadminLis, errPages = listen(ctx, "webadmin.port", "127.0.0.1", d.settings.Webadmin.Port)
	if err := errors.Join(errAPI, errPages); err != nil {
		return err
	}
	d.settings.Jobapi.Endpoint = d.jobapiLis.Addr().String()
	return nil
}

// writeCredentials leaves for the commands how to reach jobapi. The password is
// that of the settings, else the folder's, which is random.
func (d *dev) writeCredentials() error {
	path := filepath.Join(d.dir, credentialsFile)
	kept, err := readCredentials(path)
	if err != nil {
		return err
	}
	api := &d.settings.Jobapi
	api.Password = cmp.Or(api.Password, kept.Password, rand.Text())
	text, err := yaml.Marshal(credentials{Endpoint: api.Endpoint, Username: api.Username, Password: api.Password, Webadmin: d.address()})
	if err != nil {
		return err
	}
	// By rename: a command may read it right now.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	return os.Rename(path+".new", path)
}

func (d *dev) address() string { return fmt.Sprintf("http://%s/", d.webadminLis.Addr()) }

func (d *dev) run(ctx context.Context, files []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.manager.Run(ctx) })
	g.Go(func() error { return d.jobapi.Serve(ctx, d.jobapiLis) })
	g.Go(func() error { return serveHTTP(ctx, d.webadminLis, d.pages.Handler(), d.log) })
	g.Go(func() error { d.pages.Run(ctx); return nil })
	g.Go(func() error {
		if err := d.startFiles(ctx, files); err != nil {
			return err
		}
		d.greet()
		return nil
	})
	err := g.Wait()
	if n := d.unfinished(); n > 0 {
		d.say("Jobs that still run, or wait to: %d; start `jobnetes dev` again to go on with them.", n)
	}
	return errors.Join(err, d.jobs.Close())
}

func (d *dev) greet() {
	d.say("Pages:   %s", d.address())
	d.say("Jobapi:  %s, user %s, password in %s (the commands find it there)", d.settings.Jobapi.Endpoint, d.settings.Jobapi.Username, filepath.Join(d.dir, credentialsFile))
	d.say("Jobs run as processes of this computer, as you; images are not used. Ctrl-C ends.")
}

func (d *dev) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

// startFiles applies and starts the workflows of --run, as any client would.
func (d *dev) startFiles(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return nil
	}
	o := &clientOptions{endpoint: d.settings.Jobapi.Endpoint, username: d.settings.Jobapi.Username, password: d.settings.Jobapi.Password}
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.close()
	for _, file := range files {
		document, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--run: %w", err)
		}
		applied, err := c.apply(ctx, file, document)
		if err != nil {
			return fmt.Errorf("--run %s:\n%w", file, err)
		}
		id, err := c.start(ctx, applied.Name, &pb.WorkflowStartRequest{WorkflowId: applied.ID}, d.out)
		if err != nil {
			return err
		}
		d.say("Started  %s: %sexecutions/%d", applied.Name, d.address(), id)
	}
	return nil
}

// unfinished counts the Jobs that outlive this process.
func (d *dev) unfinished() int {
	n := 0
	for _, job := range d.jobs.List() {
		if !kube.Finished(job) {
			n++
		}
	}
	return n
}
