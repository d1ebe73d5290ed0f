//! The Merkle tree of RFC 6962, kept as tiles of 256 hashes: what is full leaves memory, the edge stays.
//!
//! Hashes of leaves and nodes are `tlog_tiles`'. Its way to store them, one numbered hash after the other as Go's `tlog` has it,
//! would be read back tile by tile for each entry; here an entry costs two hashes and no read.

use std::io;
use tlog_tiles::{EMPTY_HASH, Hash, node_hash};

/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: usize = 256;

/// Each level of tiles has one hash for this many of the level below, as a shift.
const SHIFT: u32 = 8;

/// The right edge of a tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    /// Lowest first.
    levels: Vec<Level>,
}

#[derive(Clone, Debug, Default)]
struct Level {
    /// Full tiles, which are not kept.
    full: u64,
    /// The hashes of the tile that is not full yet.
    hashes: Vec<Hash>,
}

/// A tile: its level, its number, and its hashes.
pub type Tile<'t> = (u8, u64, &'t [Hash]);

impl Tree {
    /// The tree over `size` entries, a multiple of [`WIDTH`], from its full tiles.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn restore(size: u64, mut read: impl FnMut(u8, u64) -> io::Result<Vec<Hash>>) -> io::Result<Self> {
        assert!(size.is_multiple_of(WIDTH as u64), "what is restored has whole tiles");
        let mut tree = Self { size, levels: vec![Level { full: size >> SHIFT, hashes: Vec::new() }] };
        for level in 1..8 {
            let hashes = size >> (SHIFT * u32::from(level));
            if hashes == 0 {
                break;
            }
            let full = hashes >> SHIFT;
            let edge = (full << SHIFT..hashes).map(|number| Ok(top(&read(level - 1, number)?)));
            tree.levels.push(Level { full, hashes: edge.collect::<io::Result<_>>()? });
        }
        Ok(tree)
    }

    /// How many entries it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry; `full` is given each tile that it fills.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile<'_>)) {
        self.size += 1;
        let mut hash = leaf;
        for number in 0_u8.. {
            if self.levels.len() <= usize::from(number) {
                self.levels.push(Level::default());
            }
            let level = &mut self.levels[usize::from(number)];
            level.hashes.push(hash);
            if level.hashes.len() < WIDTH {
                return;
            }
            full((number, level.full, &level.hashes));
            hash = top(&level.hashes);
            level.full += 1;
            level.hashes.clear();
        }
    }

    /// The tiles that are not full.
    pub fn edge(&self) -> impl Iterator<Item = Tile<'_>> {
        let some = (0..).zip(&self.levels).filter(|(_, level)| !level.hashes.is_empty());
        some.map(|(number, level)| (number, level.full, &level.hashes[..]))
    }

    /// The hash of the whole tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = Vec::new();
        for level in self.levels.iter().rev() {
            let mut rest = &level.hashes[..];
            while !rest.is_empty() {
                let (perfect, after) = rest.split_at(1 << rest.len().ilog2());
                peaks.push(top(perfect));
                rest = after;
            }
        }
        // From the right: each peak is larger than all that stands right of it.
        peaks.into_iter().rev().reduce(|right, left| node_hash(left, right)).unwrap_or(EMPTY_HASH)
    }
}

/// The hash over a perfect subtree: as many hashes as a power of two.
fn top(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two(), "a perfect subtree");
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    row[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tlog_tiles::record_hash;

    fn hex(hash: Hash) -> String {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The leaves and roots of Certificate Transparency's reference implementation, which RFC 6962 implementations test against.
    #[test]
    fn the_vectors_of_certificate_transparency() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(hex(tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in leaves.iter().zip(roots) {
            tree.push(record_hash(leaf), |_| panic!("no tile is full"));
            assert_eq!(hex(tree.root()), root, "of {} leaves", tree.size());
        }
    }

    /// RFC 6962, 2.1, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => EMPTY_HASH,
            1 => leaves[0],
            n => {
                let k = n.next_power_of_two() / 2;
                node_hash(naive(&leaves[..k]), naive(&leaves[k..]))
            }
        }
    }

    #[test]
    fn any_size_has_the_root_of_the_definition_and_can_be_restored_from_its_full_tiles() {
        let mut tree = Tree::default();
        let mut leaves = Vec::new();
        let mut tiles = BTreeMap::new();
        for number in 0..70_000_u32 {
            let leaf = record_hash(&number.to_be_bytes());
            leaves.push(leaf);
            tree.push(leaf, |(level, number, hashes)| {
                assert!(tiles.insert((level, number), hashes.to_vec()).is_none(), "each tile is full once");
            });
            let size = leaves.len();
            if size < 300 || [511, 512, 513, 9973, 65_535, 65_536, 65_537, 69_999].contains(&size) {
                assert_eq!(tree.root(), naive(&leaves), "of {size}");
            }
            if size % WIDTH == 0 && [512, 2048, 65_536, 65_792].contains(&size) {
                let again =
                    Tree::restore(tree.size(), |level, number| Ok(tiles[&(level, number)].clone())).unwrap();
                assert_eq!(again.root(), tree.root(), "restored at {size}");
                let edge = |tree: &Tree| tree.edge().map(|(l, n, h)| (l, n, h.to_vec())).collect::<Vec<_>>();
                assert_eq!(edge(&again), edge(&tree), "restored at {size}");
            }
        }
        assert_eq!(tiles.len(), 70_000 / 256 + 1, "273 of the leaves, and one above");
    }
}
