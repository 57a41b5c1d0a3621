package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/alicebob/miniredis/v2/server"
)

// keepIn loads what dir holds, and writes it anew without what has expired or was
// cut off.
func (r *Redis) keepIn(dir string, create creator) error {
	f, err := openFile(dir, create)
	if err != nil {
		return err
	}
	if err = r.loadFile(f.path()); err == nil {
		r.tick()
		err = f.replace(r.snapshot)
	}
	if err != nil {
		return errors.Join(err, f.release())
	}
	r.file = f
	return nil
}

func (r *Redis) loadFile(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.load(data); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// faultError says where a file cannot be read, and how to go on without the rest.
type faultError struct {
	at    int // the byte that is wrong
	sound int // everything before it is good
	what  string
}

func (e *faultError) Error() string {
	return fmt.Sprintf("byte %d: %s; restore the file from a backup, or give up everything from byte %d on: truncate -s %d",
		e.at, e.what, e.sound, e.sound)
}

// load runs the commands of a file. Commands between MULTI and EXEC are run when
// EXEC is there: one that is missing at the end was being written when the
// process or the computer died, and nobody was told of it.
func (r *Redis) load(data []byte) error {
	data = bytes.TrimRight(data, "\x00") // some file systems leave them after a power cut
	p := &parser{data: data}
	for p.at < len(p.data) {
		sound := p.at
		commands, err := p.transaction()
		if errors.Is(err, errCut) && isTail(data[sound:]) {
			return nil
		}
		for i := 0; err == nil && i < len(commands); i++ {
			err = r.apply(commands[i])
		}
		if err != nil {
			return &faultError{at: p.at, sound: sound, what: err.Error()}
		}
	}
	return nil
}

var (
	begin  = appendCommand(nil, "MULTI")
	commit = appendCommand(nil, "EXEC")
)

// isTail reports whether b, which ends too early, is one transaction and no more.
// With the end of another one in it, a length is wrong that says otherwise.
func isTail(b []byte) bool {
	begun := bytes.HasPrefix(b, begin) || bytes.HasPrefix(begin, b)
	return begun && !bytes.Contains(b, commit)
}

// apply runs one command of the file.
func (r *Redis) apply(args []string) (err error) {
	cmd := strings.ToUpper(args[0])
	if writes[cmd] == nil {
		return fmt.Errorf("the embedded Redis does not know the command %.20q", args[0])
	}
	defer func() {
		if v := recover(); v != nil { // miniredis trusts its callers, and keeps its lock
			r.mini.TryLock()
			r.mini.Unlock()
			err = fmt.Errorf("%s cannot be run: %v", cmd, v)
		}
	}()
	args[0] = cmd
	if reply := r.call(new(server.Peer), args); reply[0] == '-' {
		return fmt.Errorf("%s was refused: %s", cmd, strings.TrimSpace(reply[1:]))
	}
	return nil
}

var (
	errCut  = errors.New("the file ends in the middle of a command")
	errForm = errors.New("this is not what a command looks like")
)

// parser reads commands as appendCommand writes them. After an error, at is where.
type parser struct {
	data []byte
	at   int
}

// transaction gives the commands between MULTI and EXEC, or a command outside of them.
func (p *parser) transaction() ([][]string, error) {
	first, err := p.command()
	if err != nil || first[0] != "MULTI" {
		return [][]string{first}, err
	}
	var commands [][]string
	for {
		c, err := p.command()
		if err != nil || c[0] == "EXEC" {
			return commands, err
		}
		commands = append(commands, c)
	}
}

func (p *parser) command() ([]string, error) {
	n, err := p.length('*')
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errForm
	}
	var args []string // n may be anything
	for range n {
		size, err := p.length('$')
		if err != nil {
			return nil, err
		}
		if len(p.data)-p.at < size+len("\r\n") {
			return nil, errCut
		}
		arg := string(p.data[p.at : p.at+size])
		p.at += size
		if err := p.expect("\r\n"); err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

// length reads a line with a number, such as $5.
func (p *parser) length(kind byte) (int, error) {
	if err := p.expect(string(kind)); err != nil {
		return 0, err
	}
	digits := 0
	for p.at+digits < len(p.data) && '0' <= p.data[p.at+digits] && p.data[p.at+digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseInt(string(p.data[p.at:p.at+digits]), 10, 32)
	if err != nil && p.at+digits < len(p.data) {
		return 0, errForm
	}
	p.at += digits
	return int(n), p.expect("\r\n")
}

// expect passes over text.
func (p *parser) expect(text string) error {
	for i := range len(text) {
		switch {
		case p.at == len(p.data):
			return errCut
		case p.data[p.at] != text[i]:
			return errForm
		}
		p.at++
	}
	return nil
}
