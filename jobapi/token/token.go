// Package token signs and verifies the tokens with which a task's job reports
// its output. The manager hands them out and jobapi accepts them; neither
// imports the other, so what they share is here.
package token

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "jobnetes"
	audience = "jobapi"
)

// MinKeyBytes is the shortest key that NewTokens accepts: what HS256 makes of
// it is no stronger than the key (RFC 7518, section 3.2).
const MinKeyBytes = 32

// Tokens signs and verifies task tokens with one key. It is safe for
// concurrent use.
type Tokens struct {
	key    []byte
	parser *jwt.Parser
}

// NewTokens returns a Tokens that uses key, of at least MinKeyBytes. Services
// that are to accept each other's tokens share the key.
func NewTokens(key []byte) (*Tokens, error) {
	if len(key) < MinKeyBytes {
		return nil, fmt.Errorf("the key of task tokens has %d bytes: it needs at least %d", len(key), MinKeyBytes)
	}
	return &Tokens{
		key: key,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithIssuer(issuer),
			jwt.WithAudience(audience),
			jwt.WithStrictDecoding(),
		),
	}, nil
}

// Sign returns the token of the task execution taskID. It carries no expiry
// time: it is worth something only while its task is running, which whoever
// accepts it has to check, because nobody knows beforehand how long a job takes.
func (t *Tokens) Sign(taskID uint64, now time.Time) (string, error) {
	if taskID == 0 {
		return "", errors.New("sign a task token: task 0 does not exist")
	}
	claims := jwt.RegisteredClaims{
		Issuer:   issuer,
		Audience: jwt.ClaimStrings{audience},
		Subject:  strconv.FormatUint(taskID, 10),
		IssuedAt: jwt.NewNumericDate(now),
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.key)
	if err != nil {
		return "", fmt.Errorf("sign the token of task %d: %w", taskID, err)
	}
	return signed, nil
}

// Verify returns the id of the task execution that token was signed for, or an
// error if Sign did not make it with the same key.
func (t *Tokens) Verify(token string) (taskID uint64, err error) {
	var claims jwt.RegisteredClaims
	if _, err := t.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return t.key, nil }); err != nil {
		return 0, fmt.Errorf("verify a task token: %w", err)
	}
	id, err := strconv.ParseUint(claims.Subject, 10, 64)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("verify a task token: its subject %q is no task id", claims.Subject)
	}
	return id, nil
}
