package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// Configuration is what a configuration says of sources, identity rules and destinations.
// Of a part that is nil it says nothing, and that part stays as it is.
type Configuration struct {
	Sources      []ConfiguredSource // empty, not nil: it wants none
	Identity     jsontext.Value     // a JSON object; what is not in it is the default
	Destinations map[string]ConfiguredDestination
}

// ConfiguredSource is a source as the configuration has it.
type ConfiguredSource struct {
	Name string
	Key  WriteKey // empty: the one that it has, if it has one
	Rate float64  // requests per second, from 0.001 to 1,000,000; 0: the default
}

// ConfiguredDestination is a destination as the configuration has it.
type ConfiguredDestination struct {
	Kind     string
	Settings jsontext.Value // a JSON object without secrets; nil: not known
	Aliasing engine.Aliasing
}

// Kept is what the database says of what a Configuration is about.
type Kept struct {
	Revision     int64 // another number: destinations or identity rules have changed
	Sources      []KeptSource
	Identity     jsontext.Value // nil: the defaults
	Destinations map[string]ConfiguredDestination
}

// KeptSource is a source with who has said what of it.
type KeptSource struct {
	Name           string
	Origin         Origin
	Rate           *float64 // set by command, which goes before; nil: none is
	ConfiguredRate *float64 // set by a configuration; nil: none is
	hash           []byte
}

// HasKey tells whether the source takes calls over HTTP.
func (s KeptSource) HasKey() bool { return s.hash != nil }

// Holds tells whether the source is known by a key. One of another rotation is none.
func (s KeptSource) Holds(key WriteKey) bool { return bytes.Equal(s.hash, key.hash()) }

// Effective is the rate that holds, as with ConfiguredSource; 0: the default.
func (s KeptSource) Effective() float64 {
	switch {
	case s.Rate != nil:
		return *s.Rate
	case s.ConfiguredRate != nil:
		return *s.ConfiguredRate
	}
	return 0
}

// ConfigurationRevision is Kept.Revision.
func (s *Store) ConfigurationRevision(ctx context.Context) (revision int64, err error) {
	if err := s.pool.QueryRow(ctx, `SELECT configuration FROM catalog_version`).Scan(&revision); err != nil {
		return 0, fmt.Errorf("read the revision of the configuration: %w", err)
	}
	return revision, nil
}

// Kept reads what is configured, as of one instant.
func (s *Store) Kept(ctx context.Context) (*Kept, error) {
	k := &Kept{Destinations: make(map[string]ConfiguredDestination)}
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) error {
		err := t.QueryRow(ctx, `SELECT configuration, (SELECT settings::text FROM identity_rules) FROM catalog_version`).Scan(&k.Revision, (*[]byte)(&k.Identity))
		if err != nil {
			return err
		}
		rows, err := t.Query(ctx, `SELECT name, origin, rate, configured_rate, write_key_hash FROM sources ORDER BY name`)
		if err != nil {
			return err
		}
		k.Sources, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (src KeptSource, err error) {
			return src, row.Scan(&src.Name, &src.Origin, &src.Rate, &src.ConfiguredRate, &src.hash)
		})
		if err != nil {
			return err
		}
		if rows, err = t.Query(ctx, `SELECT name, kind, configuration::text, aliasing FROM destinations WHERE removed_at IS NULL`); err != nil {
			return err
		}
		var name, kind, aliasing string
		var settings []byte
		_, err = pgx.ForEachRow(rows, []any{&name, &kind, &settings, &aliasing}, func() error {
			k.Destinations[name] = ConfiguredDestination{Kind: kind, Settings: slices.Clone(settings), Aliasing: engine.Aliasing(aliasing)}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return k, nil
}

// Configure makes what a configuration says so, in one transaction. Who runs notices within
// seconds. It returns the sources whose write keys work no more because they have left it.
//
// Sources take calls with their keys, at their rates unless a command has set another. One
// that was made by command and is given a key here belongs to the configuration from then
// on. One that is disabled stays so. No source is ever deleted: events refer to it.
// Destinations that are not named are told nothing any more.
func (s *Store) Configure(ctx context.Context, c Configuration, now time.Time) (left []string, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		changed := false
		if c.Sources != nil {
			var made bool
			if left, made, err = configureSources(ctx, t, c.Sources, now); err != nil {
				return fmt.Errorf("sources of the configuration: %w", sourceFault(err))
			}
			changed = made
		}
		revised := false
		if c.Identity != nil {
			tag, err := t.Exec(ctx, `
				INSERT INTO identity_rules AS r (settings, changed_at) VALUES ($1::text::jsonb, $2)
				ON CONFLICT (only_row) DO UPDATE SET settings = excluded.settings, changed_at = excluded.changed_at
				WHERE r.settings <> excluded.settings`, string(c.Identity), now)
			if err != nil {
				return fmt.Errorf("identity rules: %w", err)
			}
			revised = tag.RowsAffected() > 0
		}
		if c.Destinations != nil {
			told, err := configureDestinations(ctx, t, c.Destinations, now)
			if err != nil {
				return err
			}
			revised = revised || told
		}
		if revised {
			if _, err := t.Exec(ctx, `UPDATE catalog_version SET configuration = configuration + 1`); err != nil {
				return err
			}
		}
		if !revised && !changed {
			return nil
		}
		return bump(ctx, t)
	})
	return left, err
}

// EnsureDestinations makes destinations known by name and kind, and retires all others. What
// they are told, and how, is not looked at: see Configure.
func (s *Store) EnsureDestinations(ctx context.Context, kinds map[string]string, now time.Time) error {
	return pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		known := make(map[string]ConfiguredDestination, len(kinds))
		for name, kind := range kinds {
			known[name] = ConfiguredDestination{Kind: kind}
		}
		if _, err := configureDestinations(ctx, t, known, now); err != nil {
			return err
		}
		return bump(ctx, t)
	})
}

// configureSources tells which sources have left, and whether one was made or changed.
func configureSources(ctx context.Context, t pgx.Tx, sources []ConfiguredSource, now time.Time) (left []string, changed bool, err error) {
	names := make([]string, len(sources)) // not nil, which SQL would take for unknown
	hashes := make([][]byte, len(sources))
	rates := make([]float64, len(sources))
	for i, src := range sources {
		names[i], rates[i] = src.Name, src.Rate
		if src.Key != "" {
			hashes[i] = src.Key.hash()
		}
	}
	rows, err := t.Query(ctx, `UPDATE sources
		SET write_key_hash = CASE WHEN origin <> 'config' THEN write_key_hash END, configured_rate = NULL
		WHERE name <> ALL ($1) AND (origin = 'config' AND write_key_hash IS NOT NULL OR configured_rate IS NOT NULL)
		RETURNING name, origin = 'config'`, names)
	if err != nil {
		return nil, false, err
	}
	var name string
	var gone bool
	_, err = pgx.ForEachRow(rows, []any{&name, &gone}, func() error {
		if gone {
			left = append(left, name)
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	// Keys that change go first, so that two sources may swap theirs.
	_, err = t.Exec(ctx, `
		UPDATE sources s SET write_key_hash = NULL
		FROM unnest($1::text[], $2::bytea[]) AS c (name, hash) WHERE s.name = c.name AND s.write_key_hash <> c.hash`, names, hashes)
	if err != nil {
		return nil, false, err
	}
	tag, err := t.Exec(ctx, `
		INSERT INTO sources AS s (name, write_key_hash, configured_rate, origin, created_at)
		SELECT c.name, c.hash, nullif(c.rate, 0), CASE WHEN c.hash IS NULL THEN 'import' ELSE 'config' END, $4
		FROM unnest($1::text[], $2::bytea[], $3::float8[]) AS c (name, hash, rate)
		ON CONFLICT (name) DO UPDATE SET configured_rate = excluded.configured_rate,
			write_key_hash = coalesce(excluded.write_key_hash, s.write_key_hash),
			origin = CASE WHEN excluded.write_key_hash IS NULL THEN s.origin ELSE 'config' END
		WHERE s.configured_rate IS DISTINCT FROM excluded.configured_rate
			OR excluded.write_key_hash IS NOT NULL AND (s.write_key_hash IS DISTINCT FROM excluded.write_key_hash OR s.origin <> 'config')`,
		names, hashes, rates, now)
	return left, tag.RowsAffected() > 0, err
}

// configureDestinations tells whether a destination was made, changed or retired.
func configureDestinations(ctx context.Context, t pgx.Tx, destinations map[string]ConfiguredDestination, now time.Time) (changed bool, err error) {
	names := slices.Sorted(maps.Keys(destinations))
	for _, name := range names {
		d := destinations[name]
		var settings *string
		if d.Settings != nil {
			settings = new(string(d.Settings))
		}
		// Without settings, what is known of them stays.
		tag, err := t.Exec(ctx, `
			INSERT INTO destinations AS d (name, kind, created_at, configuration, aliasing) VALUES ($1, $2, $3, $4::text::jsonb, $5)
			ON CONFLICT (name) DO UPDATE SET removed_at = NULL, configuration = coalesce(excluded.configuration, d.configuration),
				aliasing = CASE WHEN excluded.configuration IS NULL THEN d.aliasing ELSE excluded.aliasing END
			WHERE d.removed_at IS NOT NULL OR excluded.configuration IS NOT NULL
				AND (d.configuration, d.aliasing) IS DISTINCT FROM (excluded.configuration, excluded.aliasing)`,
			name, d.Kind, now, settings, string(d.Aliasing))
		if err != nil {
			return false, fmt.Errorf("destination %q: %w", name, err)
		}
		changed = changed || tag.RowsAffected() > 0
	}
	if names == nil {
		names = []string{} // SQL would take nil for unknown
	}
	tag, err := t.Exec(ctx, `UPDATE destinations SET removed_at = $2 WHERE removed_at IS NULL AND NOT name = ANY($1)`, names, now)
	return changed || tag.RowsAffected() > 0, err
}
