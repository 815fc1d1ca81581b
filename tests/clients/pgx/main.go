// pgx by way of pgbearer proxy: go run .
//
// The driver reads PGHOST (a folder is a Unix socket's), PGPORT, PGUSER, PGDATABASE and PGPASSFILE by itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

type report struct {
	SystemUser  string `json:"system_user"`
	CurrentUser string `json:"current_user"`
	Sum         int    `json:"sum"`
	Copied      int64  `json:"copied"`
	Cancelled   bool   `json:"cancelled"`
	After       int    `json:"after"`
}

func main() {
	ctx := context.Background()
	connection, err := connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close(ctx)
	said, err := use(ctx, connection)
	if err != nil {
		log.Fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(said)
}

// connect makes a connection whose queries are cancelled at the server when their context ends.
func connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.BuildContextWatcherHandler = func(connection *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: connection, DeadlineDelay: time.Minute}
	}
	return pgx.ConnectConfig(ctx, config)
}

func use(ctx context.Context, connection *pgx.Conn) (said report, err error) {
	if err = connection.QueryRow(ctx, "SELECT system_user, current_user").Scan(&said.SystemUser, &said.CurrentUser); err != nil {
		return
	}
	if err = connection.QueryRow(ctx, "SELECT $1::int + $2::int", 40, 2).Scan(&said.Sum); err != nil {
		return
	}
	if said.Copied, err = copied(ctx, connection); err != nil {
		return
	}
	said.Cancelled = cancelled(ctx, connection)
	err = connection.QueryRow(ctx, "SELECT 1 + 1").Scan(&said.After)
	return
}

func copied(ctx context.Context, connection *pgx.Conn) (int64, error) {
	if _, err := connection.Exec(ctx, "CREATE TEMPORARY TABLE numbers (number int)"); err != nil {
		return 0, err
	}
	rows := [][]any{{1}, {2}, {3}}
	return connection.CopyFrom(ctx, pgx.Identifier{"numbers"}, []string{"number"}, pgx.CopyFromRows(rows))
}

func cancelled(ctx context.Context, connection *pgx.Conn) bool {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	_, err := connection.Exec(ctx, "SELECT pg_sleep(600)")
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "57014"
}
