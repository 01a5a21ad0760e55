// Package migrations holds the database's schema as a row of numbered SQL files,
// and brings a database to the newest of them.
//
// Each file is sent to PostgreSQL as one piece and so takes effect whole or not at
// all. In the same piece the file is entered in muster.schema_history, so that
// what is in the database is known for certain, also after a crash.
//
// What the files add up to can be read in schema.sql.
package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/source"
)

// Schema is the PostgreSQL schema that holds all tables.
const Schema = "muster"

//go:embed *.up.sql *.down.sql
var embedded embed.FS

// Migration is one numbered step of the schema.
type Migration struct {
	Version   uint      // from 1
	Name      string    // such as "000001_catalog"
	AppliedAt time.Time // when it went into the database, by the database's clock; zero if it is not in
	Edited    bool      // it is in, but the file was changed since
}

// Applied tells whether the migration is in the database.
func (m Migration) Applied() bool { return !m.AppliedAt.IsZero() }

// step is a migration with the checksum of its up file.
type step struct {
	Migration
	checksum string
}

// steps lists the migrations in files, in order.
func steps(files fs.FS) ([]step, error) {
	names, err := fs.Glob(files, "*.up.sql") // sorted, so in the order of the padded numbers
	if err != nil {
		return nil, err
	}
	var all []step
	for _, name := range names {
		parsed, err := source.DefaultParse(name)
		if err != nil {
			return nil, fmt.Errorf("migration %s: its name is not NNNNNN_name.up.sql", name)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, step{
			Migration: Migration{Version: parsed.Version, Name: strings.TrimSuffix(name, ".up.sql")},
			checksum:  checksum(text),
		})
	}
	return all, nil
}

func checksum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
