package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/setting"
)

func newMigrateCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Create the database, or bring its schema to this build's version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := setting.Load(config)
			if err != nil {
				return err
			}
			ctx, cfg := cmd.Context(), dbConfig(s)
			cfg.ForMigration = true
			if err := db.CreateDatabase(ctx, cfg); err != nil {
				return whichDatabase(s, err)
			}
			gdb, err := db.Open(ctx, cfg)
			if err != nil {
				return whichDatabase(s, err)
			}
			defer func() { _ = db.Close(gdb) }()
			applied, err := db.Migrate(ctx, gdb)
			for _, name := range applied {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), "applied", name)
			}
			if err != nil {
				return err
			}
			v, err := db.Version(s.DB.Driver)
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "the schema is at version %d\n", v)
			}
			return err
		},
	}
	configFlag(c, &config)
	return c
}
