package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Token is the secret by which a user of the APIs is known. Formatting and logging hide it.
type Token string

// newToken makes a token of 130 random bits. What it begins with lets people, and programs
// that look for leaked secrets, see what it is.
func newToken() Token { return Token("mst_" + rand.Text()) }

// Reveal is the token itself, for the one time that it is shown.
func (t Token) Reveal() string { return string(t) }

// String hides the token.
func (Token) String() string { return "(secret)" }

// GoString hides the token.
func (Token) GoString() string { return "(secret)" }

// LogValue hides the token.
func (Token) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Scope says what a token may do.
type Scope string

// The scopes.
const (
	ScopeRead  Scope = "read"
	ScopeWrite Scope = "write" // reads, too
)

// TokenLine is a token as it is listed: without the secret.
type TokenLine struct {
	Name       string     `json:"name"`
	Scope      Scope      `json:"scope"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // to a minute; nil: never
}

// Errors about tokens, for those who branch on them.
var (
	ErrUnknownToken = errors.New("there is no such token; muster token list shows all")
	ErrTokenExists  = errors.New("there is a token of this name already; choose another name, or delete that one first")
	ErrTokenSetting = errors.New("a setting of a token is out of bounds")
)

// CreateToken makes a token with a scope, which can never be read again.
func (s *Store) CreateToken(ctx context.Context, name string, scope Scope, now time.Time) (Token, error) {
	token := newToken()
	hash := sha256.Sum256([]byte(token))
	_, err := s.pool.Exec(ctx, `INSERT INTO api_tokens (name, token_hash, scope, created_at) VALUES ($1, $2, $3, $4)`, name, hash[:], scope, now)
	if pg, violated := errors.AsType[*pgconn.PgError](err); violated {
		switch pg.ConstraintName {
		case "api_tokens_name_key":
			err = ErrTokenExists
		case "api_tokens_name_check":
			err = fmt.Errorf("%w: a name has 1 to 64 letters, digits, _, . and -, the first a letter or a digit", ErrTokenSetting)
		case "api_tokens_scope_check":
			err = fmt.Errorf("%w: the scope is read or write", ErrTokenSetting)
		}
	}
	if err != nil {
		return "", fmt.Errorf("create token %q: %w", name, err)
	}
	return token, nil
}

// Tokens lists the tokens by name.
func (s *Store) Tokens(ctx context.Context) ([]TokenLine, error) {
	rows, err := s.pool.Query(ctx, `SELECT name, scope, created_at, last_used_at FROM api_tokens ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list the tokens: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TokenLine])
}

// DeleteToken ends a token. Other processes notice within a second.
func (s *Store) DeleteToken(ctx context.Context, name string) error {
	tag, err := s.pool.Exec(ctx, `DELETE FROM api_tokens WHERE name = $1`, name)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrUnknownToken
	}
	if err != nil {
		return fmt.Errorf("delete token %q: %w", name, err)
	}
	return nil
}

// TokenHolder is who has a token.
type TokenHolder struct {
	ID    int64
	Name  string
	Scope Scope
	Hash  [sha256.Size]byte // of the token
}

// TokenBook finds out who has a token. Tokens are known by their SHA-256 only, in the
// database and in memory.
type TokenBook struct {
	store *Store
	now   func() time.Time

	mu     sync.Mutex
	asked  time.Time // when the database was asked last
	failed error     // how that went
	read   bool
	byHash map[[sha256.Size]byte]TokenHolder
	used   map[int64]time.Time // when that was noted last
}

// TokenBook returns the tokens of the store.
func (s *Store) TokenBook(now func() time.Time) *TokenBook {
	return &TokenBook{store: s, now: now, used: make(map[int64]time.Time)}
}

const (
	// tokensFor is how long tokens are remembered, and so how late a change elsewhere is seen.
	tokensFor = time.Second
	// strangeTokenFor is how long an unknown token stays one: one that was just made should
	// be known at once, yet guesses must not reach the database one by one.
	strangeTokenFor = 200 * time.Millisecond
	// usedEvery is how often it is noted that a token is in use.
	usedEvery = time.Minute
)

// Holder answers who has a token; false: nobody.
func (b *TokenBook) Holder(ctx context.Context, token string) (TokenHolder, bool, error) {
	hash := sha256.Sum256([]byte(token))
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	age := now.Sub(b.asked)
	holder, known := b.byHash[hash]
	if age > tokensFor || age < 0 || !b.read || !known && age > strangeTokenFor {
		b.failed = b.load(ctx)
		b.asked, b.read = b.now(), true
		holder, known = b.byHash[hash]
	}
	if b.failed != nil {
		return TokenHolder{}, false, b.failed
	}
	// The map compares hashes, whose bytes say nothing of a token; this compares them once more
	// in a time that does not depend on them.
	if !known || subtle.ConstantTimeCompare(holder.Hash[:], hash[:]) != 1 {
		return TokenHolder{}, false, nil
	}
	b.note(ctx, holder.ID, now)
	return holder, true, nil
}

// load asks the database for all tokens. It goes on when the client that happened to cause
// it breaks off.
func (b *TokenBook) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	rows, err := b.store.pool.Query(ctx, `SELECT token_id, name, scope, token_hash FROM api_tokens`)
	if err != nil {
		return fmt.Errorf("read the tokens: %w", err)
	}
	byHash := make(map[[sha256.Size]byte]TokenHolder)
	var h TokenHolder
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&h.ID, &h.Name, &h.Scope, &hash}, func() error {
		h.Hash = [sha256.Size]byte(hash)
		byHash[h.Hash] = h
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the tokens: %w", err)
	}
	b.byHash = byHash
	return nil
}

// note writes down that a token is used, once a minute. Nothing depends on it.
func (b *TokenBook) note(ctx context.Context, id int64, now time.Time) {
	if last, ok := b.used[id]; ok && now.Sub(last) < usedEvery {
		return
	}
	b.used[id] = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	_, _ = b.store.pool.Exec(ctx, `UPDATE api_tokens SET last_used_at = $2 WHERE token_id = $1`, id, now)
}
