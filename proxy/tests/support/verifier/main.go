// A verifier of ledgers that shares no code with Riparian: Go's own sumdb/note and sumdb/tlog, and C2SP's tlog-tiles read by the letter.
//
//	verifier FOLDER VERIFIER-KEY [CHECKPOINT-HELD]
//
// It reads the published folder once and says whether it is whole. Then each line of standard input names a tampering, which is
// done to the copy in memory, judged, and undone: splices `NAME AT LENGTH BASE64`, or `NAME remove`, with `;` between them.
// Each answer is one line: `whole SIZE`, or `found WHAT`.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const width = 256

type files map[string][]byte

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: verifier FOLDER VERIFIER-KEY [CHECKPOINT-HELD]")
		os.Exit(2)
	}
	verifier, err := note.NewVerifier(os.Args[2])
	fatal(err)
	var held *tlog.Tree
	if len(os.Args) > 3 {
		text, err := os.ReadFile(os.Args[3])
		fatal(err)
		tree, err := open(text, verifier)
		fatal(err)
		held = &tree
	}
	all, err := read(os.Args[1])
	fatal(err)
	out := bufio.NewWriter(os.Stdout)
	say := func() {
		if size, err := verify(all, verifier, held); err != nil {
			fmt.Fprintf(out, "found %v\n", err)
		} else {
			fmt.Fprintf(out, "whole %d\n", size)
		}
	}
	say()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		before := files{}
		for _, splice := range strings.Split(lines.Text(), ";") {
			name, _, _ := strings.Cut(splice, " ")
			if _, ok := before[name]; !ok {
				before[name] = all[name]
			}
			fatal(tamper(all, splice))
		}
		say()
		for name, bytes := range before {
			all[name] = bytes
		}
	}
	fatal(lines.Err())
	fatal(out.Flush())
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifier:", err)
		os.Exit(1)
	}
}

func read(folder string) (files, error) {
	all := files{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		all[name], err = os.ReadFile(path)
		return err
	})
	return all, err
}

func tamper(all files, splice string) error {
	words := strings.Split(splice, " ")
	if len(words) == 2 && words[1] == "remove" {
		delete(all, words[0])
		return nil
	}
	if len(words) != 4 {
		return fmt.Errorf("not a tampering: %q", splice)
	}
	at, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	length, err := strconv.Atoi(words[2])
	if err != nil {
		return err
	}
	with, err := base64.StdEncoding.DecodeString(words[3])
	if err != nil {
		return err
	}
	old := all[words[0]]
	if at+length > len(old) {
		return fmt.Errorf("%s has %d bytes", words[0], len(old))
	}
	all[words[0]] = bytes.Join([][]byte{old[:at], with, old[at+length:]}, nil)
	return nil
}

// open checks a checkpoint: https://c2sp.org/tlog-checkpoint.
func open(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, fmt.Errorf("checkpoint: %w", err)
	}
	// Go's base64 takes several spellings for the same bytes; a checkpoint has one.
	_, signatures, _ := strings.Cut(string(text), "\n\n")
	for _, line := range strings.Split(strings.TrimSuffix(signatures, "\n"), "\n") {
		encoded := line[strings.LastIndex(line, " ")+1:]
		if _, err := base64.StdEncoding.Strict().DecodeString(encoded); err != nil {
			return tree, fmt.Errorf("checkpoint: %w", err)
		}
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tree, fmt.Errorf("checkpoint: not of this log")
	}
	tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(tree.N, 10) != lines[1] {
		return tree, fmt.Errorf("checkpoint: its size is %q", lines[1])
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

// path is C2SP's name of a tile: https://c2sp.org/tlog-tiles.
func path(row string, number int64, w int) string {
	name := fmt.Sprintf("%03d", number%1000)
	for number >= 1000 {
		number /= 1000
		name = fmt.Sprintf("x%03d/%s", number%1000, name)
	}
	if w < width {
		name += fmt.Sprintf(".p/%d", w)
	}
	return "tile/" + row + "/" + name
}

func entries(bundle []byte) ([][]byte, error) {
	var all [][]byte
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, fmt.Errorf("torn")
		}
		length := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+length {
			return nil, fmt.Errorf("torn")
		}
		all = append(all, bundle[2:2+length])
		bundle = bundle[2+length:]
	}
	return all, nil
}

// verify builds the tree from the entries, and compares the signed root, the root held, and every tile.
func verify(all files, verifier note.Verifier, held *tlog.Tree) (int64, error) {
	tree, err := open(all["checkpoint"], verifier)
	if err != nil {
		return 0, err
	}
	if held != nil && held.N > tree.N {
		return 0, fmt.Errorf("cut off: %d entries were held, %d are left", held.N, tree.N)
	}
	var stored []tlog.Hash
	hashes := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	expected := files{}
	for n := int64(0); n < tree.N; {
		w := int(min(tree.N-n, width))
		name := path("entries", n/width, w)
		bundle, ok := all[name]
		if !ok {
			return 0, fmt.Errorf("%s is missing", name)
		}
		expected[name] = bundle
		found, err := entries(bundle)
		if err != nil || len(found) != w {
			return 0, fmt.Errorf("%s has %d entries, %v", name, len(found), err)
		}
		for _, entry := range found {
			more, err := tlog.StoredHashes(n, entry, hashes)
			if err != nil {
				return 0, err
			}
			stored = append(stored, more...)
			n++
		}
	}
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return 0, err
	}
	if root != tree.Hash {
		return 0, fmt.Errorf("the entries are not those that are signed")
	}
	tiles := tlog.NewTiles(8, 0, tree.N)
	for i, tile := range tiles {
		// Narrower tiles come before the one that this tree needs.
		if i+1 < len(tiles) && tiles[i+1].L == tile.L && tiles[i+1].N == tile.N {
			continue
		}
		data, err := tlog.ReadTileData(tile, hashes)
		if err != nil {
			return 0, err
		}
		name := path(strconv.Itoa(tile.L), tile.N, tile.W)
		if !bytes.Equal(all[name], data) {
			return 0, fmt.Errorf("%s is not what its entries make it", name)
		}
		expected[name] = data
	}
	if held != nil && held.N > 0 {
		proof, err := tlog.ProveTree(tree.N, held.N, hashes)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, held.N, held.Hash); err != nil {
			return 0, fmt.Errorf("another history than the one held: %w", err)
		}
	}
	return tree.N, older(all, expected)
}

// older looks at tiles of older checkpoints, which must be the beginnings of newer ones.
func older(all, expected files) error {
	for name, data := range all {
		if _, ok := expected[name]; ok || !strings.HasPrefix(name, "tile/") {
			continue
		}
		stem, w, partial := strings.Cut(name, ".p/")
		members := strconv.Itoa(len(data) / tlog.HashSize)
		if strings.HasPrefix(name, "tile/entries/") {
			whole, err := entries(data)
			if err != nil {
				return fmt.Errorf("%s is torn", name)
			}
			members = strconv.Itoa(len(whole))
		}
		if partial && members != w {
			return fmt.Errorf("%s has %s members", name, members)
		}
		found := false
		for newer, bytes := range expected {
			is := newer == stem || strings.HasPrefix(newer, stem+".p/")
			found = found || partial && is && strings.HasPrefix(string(bytes), string(data))
		}
		if !found {
			return fmt.Errorf("%s is nobody's", name)
		}
	}
	return nil
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
