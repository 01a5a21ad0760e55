package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// ComputationLine is an audience or trait with how it stands.
type ComputationLine struct {
	Key          string     `json:"key"`
	Kind         string     `json:"kind"`
	Name         string     `json:"name"`
	Description  string     `json:"description"`
	Status       string     `json:"status"`
	StatusReason string     `json:"status_reason,omitempty"`
	Version      int        `json:"version"`                // that serves; 0: none yet
	NextVersion  int        `json:"next_version,omitempty"` // that waits for its backfill or is in it
	Backfilled   *int       `json:"backfilled,omitempty"`   // how far that is, in percent of the profiles
	Query        string     `json:"query"`                  // of the newest version
	Class        string     `json:"class"`
	Schedule     string     `json:"schedule,omitempty"`
	AsOf         *time.Time `json:"as_of,omitempty"` // scheduled: the slot that the values are as of
	Size         int64      `json:"size"`            // members, or profiles with a value
	Anonymous    bool       `json:"include_anonymous"`
	Destinations []string   `json:"destinations"`
	CreatedAt    time.Time  `json:"created_at"`
	LastRun      *time.Time `json:"last_run,omitempty"` // when the last slot or backfill ended
}

// has is the condition that a value is one: a member's, or that of a trait that has one.
const has = `(v.value = 'true' OR c.kind = 'trait' AND v.value <> 'null')`

// Computations lists what is computed, by kind and key; empty ones select all.
func (s *Store) Computations(ctx context.Context, kind, key string) ([]ComputationLine, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT c.key, c.kind, c.name, c.description, c.status, coalesce(c.status_reason, ''), c.version,
			CASE WHEN n.version > c.version THEN n.version ELSE 0 END,
			CASE WHEN b.status = 'running' THEN (100 * b.profiles_done / greatest(b.profiles_total, 1))::int END,
			n.query, n.class, n.schedule, v.as_of,
			(SELECT count(*) FROM computed_values v WHERE v.computation_id = c.computation_id AND `+has+`), c.include_anonymous,
			ARRAY(SELECT d.name FROM connections x JOIN destinations d USING (destination_id)
				WHERE x.computation_id = c.computation_id AND x.removed_at IS NULL AND d.removed_at IS NULL ORDER BY d.name),
			c.created_at, (SELECT max(r.finished_at) FROM runs r WHERE r.computation_id = c.computation_id AND r.kind IN ('slot', 'backfill'))
		FROM computations c
		JOIN LATERAL (SELECT * FROM computation_versions x WHERE x.computation_id = c.computation_id ORDER BY x.version DESC LIMIT 1) n ON true
		LEFT JOIN computation_versions v ON v.computation_id = c.computation_id AND v.version = c.version
		LEFT JOIN backfills b ON b.backfill_id = n.backfill_id AND n.version > c.version
		WHERE c.deleted_at IS NULL AND ($1 = '' OR c.kind = $1) AND ($2 = '' OR c.key = $2)
		ORDER BY c.key`, kind, key)
	if err != nil {
		return nil, fmt.Errorf("list what is computed: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l ComputationLine, err error) {
		err = row.Scan(&l.Key, &l.Kind, &l.Name, &l.Description, &l.Status, &l.StatusReason, &l.Version, &l.NextVersion, &l.Backfilled,
			&l.Query, &l.Class, &l.Schedule, &l.AsOf, &l.Size, &l.Anonymous, &l.Destinations, &l.CreatedAt, &l.LastRun)
		return l, err
	})
}

// computation finds one by kind and key.
func (s *Store) computation(ctx context.Context, kind, key string) (int64, error) {
	var id int64
	err := s.pool.QueryRow(ctx, `SELECT computation_id FROM computations WHERE key = $1 AND kind = $2 AND deleted_at IS NULL`, key, kind).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = engine.ErrUnknownKey
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return id, nil
}

// Member is a profile that is in an audience, or has a value of a trait.
type Member struct {
	ProfileID int64            `json:"profile"`
	IDs       []string         `json:"ids"` // TYPE:VALUE, oldest first
	Value     jsontext.Value   `json:"value"`
	Since     time.Time        `json:"since"`
	Reason    string           `json:"reason"`
	With      []jsontext.Value `json:"with,omitempty"` // the traits that were asked for; null: none
}

// Members goes through who is in an audience, or has a value of a trait, in an order that
// stays, at most so many; 0: all. Of each it reads the traits named, computed ones too.
func (s *Store) Members(ctx context.Context, kind, key string, with []string, limit int, yield func(Member) error) error {
	id, err := s.computation(ctx, kind, key)
	if err != nil {
		return err
	}
	var most *int
	if limit > 0 {
		most = &limit
	}
	rows, err := s.pool.Query(ctx, `
		SELECT v.profile_id, v.value, v.since, v.reason,
			ARRAY(SELECT e.id_type || ':' || e.id_value FROM external_ids e WHERE e.bucket = v.bucket AND e.profile_id = v.profile_id
				ORDER BY e.added_at, e.id_type, e.id_value),
			ARRAY(SELECT coalesce(
					(SELECT o.value FROM computed_values o JOIN computations x USING (computation_id)
						WHERE o.bucket = v.bucket AND o.profile_id = v.profile_id AND x.key = w.key AND x.deleted_at IS NULL),
					(SELECT r.value FROM traits r WHERE r.bucket = v.bucket AND r.profile_id = v.profile_id AND r.key = w.key), 'null')
				FROM unnest($2::text[]) WITH ORDINALITY AS w (key, place) ORDER BY w.place)
		FROM computed_values v JOIN computations c USING (computation_id)
		WHERE v.computation_id = $1 AND `+has+`
		ORDER BY v.bucket, v.profile_id LIMIT $3`, id, with, most)
	if err != nil {
		return fmt.Errorf("read the members of %s: %w", key, err)
	}
	defer rows.Close()
	for rows.Next() {
		var m Member
		var value []byte
		var others [][]byte
		if err := rows.Scan(&m.ProfileID, &value, &m.Since, &m.Reason, &m.IDs, &others); err != nil {
			return err
		}
		m.Value = value
		for _, o := range others {
			m.With = append(m.With, o)
		}
		if err := yield(m); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Size is how many have a value, and how that came about.
type Size struct {
	Size int64 `json:"size"`
	// IDTypes says how many of them have an external id of a type.
	IDTypes map[string]int64 `json:"id_types"`
	Days    []SizeOfDay      `json:"days"` // the newest first
}

// SizeOfDay is what a day, in UTC, did. Profiles that were merged or deleted since are
// counted as they are now.
type SizeOfDay struct {
	Day     time.Time `json:"day"`
	Entered int64     `json:"entered"` // values that came; of a trait also those that changed
	Exited  int64     `json:"exited"`
	Size    *int64    `json:"size,omitempty"` // at the end of the day; of audiences
}

// SizeOf counts who is in an audience or has a value of a trait, and what the days since
// an instant have changed.
func (s *Store) SizeOf(ctx context.Context, kind, key string, since time.Time) (Size, error) {
	size := Size{IDTypes: make(map[string]int64)}
	id, err := s.computation(ctx, kind, key)
	if err != nil {
		return size, err
	}
	const members = ` FROM computed_values v JOIN computations c USING (computation_id) WHERE v.computation_id = $1 AND ` + has
	var b pgx.Batch
	b.Queue(`SELECT count(*)`+members, id).QueryRow(func(row pgx.Row) error { return row.Scan(&size.Size) })
	b.Queue(`SELECT e.id_type, count(DISTINCT e.profile_id) FROM (SELECT v.bucket, v.profile_id`+members+`) m
		JOIN external_ids e USING (bucket, profile_id) GROUP BY e.id_type`, id).Query(func(rows pgx.Rows) error {
		var typ string
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&typ, &n}, func() error { size.IDTypes[typ] = n; return nil })
		return err
	})
	b.Queue(`SELECT date_trunc('day', v.changed_at, 'UTC'), count(*) FILTER (WHERE `+has+`), count(*) FILTER (WHERE NOT `+has+`)
		FROM value_changes v JOIN computations c USING (computation_id) WHERE v.computation_id = $1 AND v.changed_at >= $2 GROUP BY 1 ORDER BY 1 DESC`, id, since).Query(func(rows pgx.Rows) error {
		var d SizeOfDay
		_, err := pgx.ForEachRow(rows, []any{&d.Day, &d.Entered, &d.Exited}, func() error { size.Days = append(size.Days, d); return nil })
		return err
	})
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return size, fmt.Errorf("count %s: %w", key, err)
	}
	if at := size.Size; kind == "audience" {
		for i := range size.Days {
			size.Days[i].Size = new(at)
			at -= size.Days[i].Entered - size.Days[i].Exited
		}
	}
	return size, nil
}
