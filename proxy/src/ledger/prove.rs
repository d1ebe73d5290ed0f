//! Proofs: that an entry is in the tree that a checkpoint signs, and that a tree has grown out of an older one (RFC 6962, 2.1).

use super::layout::{self, Of};
use super::note::Signed;
use super::tree::WIDTH;
use super::verify::Source;
use tlog_tiles::{Error, Hash, Tile, TileHashReader, TileReader};

/// That entry `index` is the one with this hash, in the tree that was signed.
///
/// # Errors
/// When tiles are missing, or do not add up to the root that was signed.
pub fn inclusion(source: &Source, signed: Signed, index: u64, leaf: Hash) -> Result<Vec<Hash>, String> {
    let tiles = Tiles(source);
    let reader = TileHashReader::new(signed.size, signed.root, &tiles);
    let proof = tlog_tiles::prove_record(signed.size, index, &reader).map_err(|error| error.to_string())?;
    // What is handed out was checked.
    tlog_tiles::check_record(&proof, signed.size, signed.root, index, leaf)
        .map_err(|error| format!("entry {index}: {error}"))?;
    Ok(proof)
}

/// That the tree that was signed begins with the `older` one.
///
/// # Errors
/// The same.
pub fn consistency(source: &Source, signed: Signed, older: Signed) -> Result<Vec<Hash>, String> {
    if older.size > signed.size {
        return Err(format!(
            "the older checkpoint is over {} entries, this one over {}",
            older.size, signed.size
        ));
    }
    if older.size == 0 {
        return Ok(Vec::new());
    }
    let tiles = Tiles(source);
    let reader = TileHashReader::new(signed.size, signed.root, &tiles);
    let proof =
        tlog_tiles::prove_tree(signed.size, older.size, &reader).map_err(|error| error.to_string())?;
    tlog_tiles::check_tree(&proof, signed.size, signed.root, older.size, older.root)
        .map_err(|_| "it is another history: the older checkpoint is not of this tree".to_owned())?;
    Ok(proof)
}

/// Tiles of hashes, from where the ledger is.
struct Tiles<'s>(&'s Source);

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let width = usize::try_from(tile.width()).ok().filter(|width| *width <= WIDTH)?;
            let hashes = self.0.hashes(tile.level(), tile.level_index(), width).ok()?;
            Some(layout::hashes(&hashes))
        };
        let missing = |tile: &Tile| {
            let name = layout::tile(Of::Level(tile.level()), tile.level_index(), tile.width() as usize);
            Error::InvalidInput(format!("{name} cannot be read"))
        };
        tiles.iter().map(|tile| read(tile).ok_or_else(|| missing(tile))).collect()
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}
