package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// pools are the connections to a MySQL database. Transactions have some of their own, in
// whose sessions each begins by itself (autocommit=0), at the cost of no statement. A
// statement outside of a transaction must not run there: nobody would commit it.
type pools struct {
	*sql.DB
	transactions *sql.DB
}

// newPools returns pools whose connections are connector's, which commit each statement.
func newPools(connector driver.Connector) *pools {
	return &pools{DB: sql.OpenDB(connector), transactions: sql.OpenDB(beginning{connector})}
}

// BeginTx begins a transaction. One that is to be another than those of the sessions
// begins as ever.
func (p *pools) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if opts != nil && *opts != (sql.TxOptions{}) {
		return p.DB.BeginTx(ctx, opts)
	}
	return p.transactions.BeginTx(ctx, opts)
}

// GetDBConn tells gorm what its DB returns: the connections of single statements.
func (p *pools) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// bound bounds the open connections. Two thirds are for transactions: of a manager's 31
// (one more only asks whether the database answers), one for each of its 16 workers, whose
// large commits may all wait for locks, and some for claims and leases.
func (p *pools) bound(conns int) {
	transactions := max(1, conns*2/3)
	bound(p.transactions, transactions)
	bound(p.DB, max(1, conns-transactions))
}

// CloseIdle closes the connections that nobody uses right now.
func (p *pools) CloseIdle() {
	for _, pool := range []*sql.DB{p.DB, p.transactions} {
		pool.SetMaxIdleConns(-1)
		pool.SetMaxIdleConns(pool.Stats().MaxOpenConnections)
	}
}

// Close closes all.
func (p *pools) Close() error { return errors.Join(p.transactions.Close(), p.DB.Close()) }

// beginning makes connections in whose sessions transactions begin by themselves.
type beginning struct{ driver.Connector }

// Connect returns a new connection.
func (b beginning) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := b.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	my, ok := conn.(mysqlConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("the database driver's connections (%T) lack what transactions need of them", conn)
	}
	if _, err := my.ExecContext(ctx, "SET autocommit = 0", nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return transacting{my}, nil
}

// mysqlConn is what the driver's connections are to database/sql.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// transacting is a connection that runs nothing but transactions, and the one under way.
type transacting struct{ mysqlConn }

// BeginTx asks nothing of the server.
func (c transacting) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return c, nil }

// Commit ends the transaction.
func (c transacting) Commit() error { return c.end("COMMIT") }

// Rollback ends it without a trace.
func (c transacting) Rollback() error { return c.end("ROLLBACK") }

// end ends the transaction. If that fails, nobody uses the connection again: the next
// transaction would be a part of this one. Without it, the server rolls this one back.
// What the failure is does not matter: a COMMIT that conflicts with another node's, on
// Galera, costs its connection, too, though the server has rolled back by then.
func (c transacting) end(statement string) error {
	_, err := c.ExecContext(context.Background(), statement, nil)
	if err != nil {
		_ = c.Close()
	}
	return err
}
