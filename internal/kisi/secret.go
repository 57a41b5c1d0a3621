package kisi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// secret keeps a text behind a function, where neither fmt nor encoding/json
// finds it.
type secret func() string

func newSecret(text string) secret { return func() string { return text } }

// seal is how a signed-in secret is kept where others may read it: a dump of
// the store does not hold a key to the doors. It is as strong as the password:
// a weak one can be guessed from a sealed text.
type seal struct {
	aead    cipher.AEAD
	account string
}

const sealVersion = "v1."

func newSeal(password, account string) (seal, error) {
	key, err := hkdf.Key(sha256.New, []byte(password), []byte(account), "doorhook sealed Kisi login", 32)
	if err != nil {
		return seal{}, fmt.Errorf("derive the key that seals the Kisi login: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return seal{}, fmt.Errorf("prepare the seal of the Kisi login: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return seal{aead, account}, err
}

func (s seal) close(plain string) string {
	sealed := s.aead.Seal(nil, nil, []byte(plain), []byte(s.account))
	return sealVersion + base64.RawURLEncoding.EncodeToString(sealed)
}

func (s seal) open(text string) (string, error) {
	encoded, ok := strings.CutPrefix(text, sealVersion)
	if !ok {
		return "", errors.New("the kept Kisi login is not sealed as expected")
	}
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("decode the kept Kisi login: %w", err)
	}
	plain, err := s.aead.Open(nil, nil, sealed, []byte(s.account))
	if err != nil {
		return "", fmt.Errorf("open the kept Kisi login: %w", err)
	}
	return string(plain), nil
}

// accountOf names whose login it is, without saying who that is.
func accountOf(base, email, domain string) string {
	sum := sha256.Sum256([]byte(base + "\x00" + email + "\x00" + domain))
	return hex.EncodeToString(sum[:])
}
