// Package setting loads the settings of the services: config.yaml and
// environment variables. Every key, its meaning and its default are in
// config-example.yaml.
package setting

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cast"
	"github.com/spf13/viper"
)

// Settings are all settings, each with its key.
type Settings struct {
	Log      Log      `mapstructure:"log"`
	DB       DB       `mapstructure:"db"`
	K8s      K8s      `mapstructure:"k8s"`
	Manager  Manager  `mapstructure:"manager"`
	Jobapi   Jobapi   `mapstructure:"jobapi"`
	Webadmin Webadmin `mapstructure:"webadmin"`

	// File is the config.yaml that was read; empty if there is none.
	File string `mapstructure:"-"`
}

// Log is log.*.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// DB is db.*.
type DB struct {
	Driver   string `mapstructure:"driver"`
	User     string `mapstructure:"user"`
	Password string `mapstructure:"password"`
	Host     string `mapstructure:"host"`
	Port     int    `mapstructure:"port"`
	Name     string `mapstructure:"name"`
	DSN      string `mapstructure:"dsn"`
	Path     string `mapstructure:"path"`
	MaxConns int    `mapstructure:"max-conns"`
}

// K8s is k8s.*.
type K8s struct {
	Mode           string        `mapstructure:"mode"`
	InCluster      bool          `mapstructure:"in-cluster"`
	ConfigPath     string        `mapstructure:"config-path"`
	MasterURL      string        `mapstructure:"master-url"`
	JobNamespace   string        `mapstructure:"job-namespace"`
	JobRetention   time.Duration `mapstructure:"job-retention"`
	RelistInterval time.Duration `mapstructure:"relist-interval"`
	StartTimeout   time.Duration `mapstructure:"start-timeout"`
	LocalSlots     int           `mapstructure:"local-slots"`
}

// Manager is manager.*.
type Manager struct {
	PollInterval               time.Duration `mapstructure:"poll-interval"`
	Lease                      time.Duration `mapstructure:"lease"`
	MaxExecutions              int           `mapstructure:"max-executions"`
	MaxRunningJobs             int           `mapstructure:"max-running-jobs"`
	MaxRunningJobsPerNamespace int           `mapstructure:"max-running-jobs-per-namespace"`
	Workers                    int           `mapstructure:"workers"`
	KeptLogBytes               int           `mapstructure:"kept-log-bytes"`
	BindAddress                string        `mapstructure:"bind-address"`
	MetricsPort                int           `mapstructure:"metrics-port"`
	AdvertiseAddress           string        `mapstructure:"advertise-address"`
	Pprof                      bool          `mapstructure:"pprof"`
}

// Jobapi is jobapi.*.
type Jobapi struct {
	BindAddress string `mapstructure:"bind-address"`
	Port        int    `mapstructure:"port"`
	Username    string `mapstructure:"username"`
	Password    string `mapstructure:"password"`
	Endpoint    string `mapstructure:"endpoint"`
	MaxInput    int    `mapstructure:"max-input-bytes"`
	MaxOutput   int    `mapstructure:"max-output-bytes"`
	MetricsPort int    `mapstructure:"metrics-port"`
	Pprof       bool   `mapstructure:"pprof"`
}

// Webadmin is webadmin.*.
type Webadmin struct {
	BindAddress string `mapstructure:"bind-address"`
	Port        int    `mapstructure:"port"`
	Username    string `mapstructure:"username"`
	Password    string `mapstructure:"password"`
}

// The values of k8s.mode.
const (
	ModeCluster = "cluster"
	ModeLocal   = "local"
)

// envPrefix begins every environment variable: jobapi.port is
// JOBNETES_JOBAPI_PORT.
const envPrefix = "JOBNETES"

func defaults() Settings {
	return Settings{
		Log:      Log{Level: "info", Format: "text"},
		DB:       DB{Driver: "mysql", User: "root", Host: "127.0.0.1", Port: 3306, Name: "jobnetes", MaxConns: 32},
		K8s:      K8s{Mode: ModeCluster, JobNamespace: "default", JobRetention: time.Hour, RelistInterval: 30 * time.Second, StartTimeout: 5 * time.Minute},
		Manager:  Manager{PollInterval: time.Second, Lease: 15 * time.Second, MaxExecutions: 5000, Workers: 16, KeptLogBytes: 64 << 10, MetricsPort: 9090},
		Jobapi:   Jobapi{Port: 50051, Username: "jobnetesadmin", MaxInput: 1 << 20, MaxOutput: 1 << 20, MetricsPort: 9091},
		Webadmin: Webadmin{Port: 8081, Username: "jobnetesadmin"},
	}
}

// Load reads the settings: defaults, then config.yaml (path, or if that is
// empty the first of /etc/jobnetes and $HOME/.jobnetes that has one), then the
// environment. The error tells every problem, each with its key.
func Load(path string) (Settings, error) {
	file, err := find(path)
	if err != nil {
		return Settings{}, err
	}
	return load(defaults(), file, func(*Settings) {})
}

// LoadDev reads the settings of `jobnetes dev`, whose data are in dir: its own
// defaults, then the file path unless that is empty, then the environment. The
// places of config.yaml are not searched, since what is there is about other
// databases and clusters; db.* and k8s.mode are dev's own.
func LoadDev(dir, path string) (Settings, error) {
	s := defaults()
	s.Log.Level = "warn"
	s.Manager.PollInterval = 100 * time.Millisecond
	if path != "" {
		var err error
		if path, err = find(path); err != nil {
			return s, err
		}
	}
	return load(s, path, func(s *Settings) {
		s.DB = DB{Driver: "sqlite", Path: filepath.Join(dir, "jobnetes.db"), MaxConns: 1}
		s.K8s.Mode = ModeLocal
	})
}

// load reads file, unless it is empty, and the environment into s; fix has the
// last word on the values before they are checked.
func load(s Settings, file string, fix func(*Settings)) (Settings, error) {
	v := viper.New()
	v.SetEnvPrefix(envPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
	for _, key := range Keys() {
		if err := v.BindEnv(key); err != nil {
			return s, err
		}
	}
	if file != "" {
		v.SetConfigFile(file)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return s, fmt.Errorf("read settings from %s: %w", file, withoutValues(err))
		}
	}
	problems := unknownKeys(v.AllKeys(), file)
	problems = append(problems, decode(v, &s)...)
	fix(&s)
	s.File = file
	problems = append(problems, s.check()...)
	return s, errors.Join(problems...)
}

// quotation matches where an error of YAML begins to quote the file: words, but
// not ':' or ']'.
var quotation = regexp.MustCompile("[`\"!]|'[^']{2}")

// withoutValues cuts off what an error of YAML quotes, as that may be a password.
func withoutValues(err error) error {
	if _, ok := errors.AsType[viper.ConfigParseError](err); !ok {
		return err
	}
	text := strings.TrimPrefix(err.Error(), "While parsing config: ")
	if at := quotation.FindStringIndex(text); at != nil {
		text = text[:at[0]] + "… (what is there is not shown, as it may be a secret)"
	}
	return errors.New(text)
}

// decode puts the values that are set into s, key by key, so that each problem
// names its key and value.
func decode(v *viper.Viper, s *Settings) []error {
	var problems []error
	sections := reflect.ValueOf(s).Elem()
	for i := range sections.NumField() {
		section := sections.Field(i)
		name := sections.Type().Field(i).Tag.Get("mapstructure")
		for j := 0; name != "-" && j < section.NumField(); j++ {
			key := name + "." + section.Type().Field(j).Tag.Get("mapstructure")
			value := v.Get(key)
			if value == nil {
				continue
			}
			if err := decodeValue(value, section.Field(j)); err != nil {
				problems = append(problems, fmt.Errorf("%s (%s): %w", key, Env(key), err))
			}
		}
	}
	return problems
}

func decodeValue(value any, field reflect.Value) (err error) {
	var got any
	what := ""
	switch field.Interface().(type) {
	case time.Duration:
		what = "a duration, such as 500ms, 30s or 1h30m"
		text, isText := value.(string)
		if !isText {
			return fmt.Errorf("%v is not %s", value, what)
		}
		got, err = time.ParseDuration(text)
	case int:
		what = "a whole number"
		got, err = cast.ToIntE(value)
	case bool:
		what = "true or false"
		got, err = cast.ToBoolE(value)
	default:
		got, err = cast.ToStringE(value)
		if err != nil { // it may be a password, so it is not shown
			return errors.New("it is a list or a section: put it in quotes to make it a text")
		}
	}
	if err != nil {
		return fmt.Errorf("%q is not %s", fmt.Sprint(value), what)
	}
	field.Set(reflect.ValueOf(got))
	return nil
}

// find returns the config file to read; empty if there is none. One that is
// named must exist.
func find(path string) (string, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("settings file --config: %w", err)
		}
		return path, nil
	}
	dirs := []string{"/etc/jobnetes"}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".jobnetes"))
	}
	for _, dir := range dirs {
		file := filepath.Join(dir, "config.yaml")
		_, err := os.Stat(file)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("settings file: %w", err)
		}
	}
	return "", nil
}

// Keys returns every key there is, sorted.
func Keys() []string {
	var keys []string
	sections := reflect.TypeFor[Settings]()
	for i := range sections.NumField() {
		section := sections.Field(i)
		name := section.Tag.Get("mapstructure")
		if name == "-" {
			continue
		}
		for j := range section.Type.NumField() {
			keys = append(keys, name+"."+section.Type.Field(j).Tag.Get("mapstructure"))
		}
	}
	slices.Sort(keys)
	return keys
}

// Env returns the environment variable of a key.
func Env(key string) string {
	return envPrefix + "_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

func unknownKeys(keys []string, file string) []error {
	known := Keys()
	var problems []error
	for _, key := range keys {
		if !slices.Contains(known, key) {
			problems = append(problems, fmt.Errorf("%s: unknown key in %s: see setting/config-example.yaml for all there are", key, file))
		}
	}
	return problems
}

// check returns what is wrong with the values, each with its key.
func (s *Settings) check() []error {
	var problems []error
	want := func(ok bool, key, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf("%s (%s): %s", key, Env(key), fmt.Sprintf(format, args...)))
		}
	}
	_, levelErr := s.LogLevel()
	want(levelErr == nil, "log.level", "%q is none of debug, info, warn, error", s.Log.Level)
	want(s.Log.Format == "text" || s.Log.Format == "json", "log.format", "%q is neither text nor json", s.Log.Format)
	want(s.DB.Driver == "mysql" || s.DB.Driver == "sqlite", "db.driver", "%q is neither mysql nor sqlite", s.DB.Driver)
	want(s.DB.Driver != "sqlite" || s.DB.Path != "", "db.path", "a SQLite database needs the path of its file")
	want(s.DB.Driver != "mysql" || s.DB.Name != "", "db.name", "must not be empty")
	want(s.DB.MaxConns >= 1, "db.max-conns", "%d is under 1", s.DB.MaxConns)
	want(s.K8s.LocalSlots >= 0, "k8s.local-slots", "%d is under 0", s.K8s.LocalSlots)
	want(s.K8s.Mode == ModeCluster || s.K8s.Mode == ModeLocal, "k8s.mode", "%q is neither cluster nor local", s.K8s.Mode)
	want(s.K8s.JobNamespace != "", "k8s.job-namespace", "must name the namespace that Jobs run in")
	want(s.K8s.JobRetention > 0, "k8s.job-retention", "%s is not above 0", s.K8s.JobRetention)
	want(s.K8s.RelistInterval >= time.Second, "k8s.relist-interval", "%s is under 1s", s.K8s.RelistInterval)
	want(s.K8s.StartTimeout == 0 || s.K8s.StartTimeout >= time.Second, "k8s.start-timeout", "%s is neither 0 (never) nor at least 1s", s.K8s.StartTimeout)
	want(s.Manager.PollInterval >= 10*time.Millisecond, "manager.poll-interval", "%s is under 10ms", s.Manager.PollInterval)
	want(s.Manager.Lease >= 2*time.Second, "manager.lease", "%s is under 2s: any hiccup would lose it", s.Manager.Lease)
	want(s.Manager.MaxExecutions >= 1, "manager.max-executions", "%d is under 1", s.Manager.MaxExecutions)
	want(s.Manager.MaxRunningJobs >= 0, "manager.max-running-jobs", "%d is under 0: 0 is no limit", s.Manager.MaxRunningJobs)
	want(s.Manager.MaxRunningJobsPerNamespace >= 0, "manager.max-running-jobs-per-namespace", "%d is under 0: 0 is no limit", s.Manager.MaxRunningJobsPerNamespace)
	want(s.Manager.Workers >= 1 && s.Manager.Workers <= 1000, "manager.workers", "%d is not from 1 to 1000", s.Manager.Workers)
	want(s.Manager.KeptLogBytes == 0 || s.Manager.KeptLogBytes >= minKeptLog && s.Manager.KeptLogBytes <= maxKeptLog, "manager.kept-log-bytes", "%d is neither 0 (none) nor from %d to %d", s.Manager.KeptLogBytes, minKeptLog, maxKeptLog)
	want(s.Jobapi.MaxInput > 0 && s.Jobapi.MaxInput <= maxValue, "jobapi.max-input-bytes", "%d is not from 1 to %d", s.Jobapi.MaxInput, maxValue)
	want(s.Jobapi.MaxOutput > 0 && s.Jobapi.MaxOutput <= maxValue, "jobapi.max-output-bytes", "%d is not from 1 to %d", s.Jobapi.MaxOutput, maxValue)
	for key, port := range map[string]int{
		"db.port": s.DB.Port, "jobapi.port": s.Jobapi.Port, "jobapi.metrics-port": s.Jobapi.MetricsPort,
		"webadmin.port": s.Webadmin.Port, "manager.metrics-port": s.Manager.MetricsPort,
	} {
		want(port >= 0 && port <= 65535, key, "%d is no port", port)
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

// maxValue bounds the limits on inputs and outputs: with more, a statement may
// pass a database's max_allowed_packet (16 MiB on MariaDB), since a row may have
// the value twice, and quoting can double each.
const maxValue = 2 << 20

// The bounds of manager.kept-log-bytes: less would say nothing, and a task may
// have dozens of logs, which are read at once to be shown.
const (
	minKeptLog = 1 << 10
	maxKeptLog = 1 << 20
)

// LogLevel is log.level.
func (s *Settings) LogLevel() (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(s.Log.Level))
	return level, err
}

// JobapiEndpoint is where jobs and commands find jobapi.
func (s *Settings) JobapiEndpoint() string {
	if s.Jobapi.Endpoint != "" {
		return s.Jobapi.Endpoint
	}
	return fmt.Sprintf("127.0.0.1:%d", s.Jobapi.Port)
}
