//! Hostile bytes: files with bytes flipped, cut out, doubled or cut off are read or refused, never anything else.

use super::fixtures::{FORMATS, npy_file, rows, write};
use crate::table::{NumericKind, TableSource, TargetColumn, TargetSchema, TargetType};
use paceline_common::failure::Failure;
use std::path::{Path, PathBuf};

/// Mutants of each file. More are made with `PACELINE_TABLE_MUTANTS=20000 cargo test …`.
fn n_mutants() -> u64 {
    std::env::var("PACELINE_TABLE_MUTANTS").map_or(400, |n| n.parse().unwrap())
}

/// A number from a counter (splitmix64), so that a failing mutant is made again by its number alone.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn mutate(bytes: &mut Vec<u8>, seed: u64) {
    let mut state = seed;
    for _ in 0..=draw(&mut state) % 3 {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len() as u64;
        // Headers and footers are where the lengths are: half of the blows fall there.
        let at = match draw(&mut state) % 4 {
            0 => draw(&mut state) % len.min(64),
            1 => len - 1 - draw(&mut state) % len.min(600),
            _ => draw(&mut state) % len,
        };
        let at = usize::try_from(at).unwrap();
        match draw(&mut state) % 6 {
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            3 => bytes[at] = [0, 0xff, 0x7f, 0x80][usize::try_from(draw(&mut state) % 4).unwrap()],
            4 => bytes[at] ^= 1 << (draw(&mut state) % 8),
            _ => bytes[at] = draw(&mut state).to_le_bytes()[0],
        }
    }
}

/// Reads all there is, in every way there is.
fn read_everything(path: &Path) -> Result<(), Failure> {
    let source = TableSource::open(&[path.to_owned()])?;
    let names: Vec<String> = source.schema().fields.iter().take(8).map(|field| field.name.clone()).collect();
    let columns: Vec<Result<_, Failure>> = names.iter().map(|name| source.read_column(name)).collect();
    for name in &names {
        let _ = source.read_ids(&[name]);
    }
    let target = |name: &String| TargetColumn { name: name.clone(), target: TargetType::Categorical(vec!["7".to_owned()]) };
    let target = TargetSchema::new(names.iter().map(target).collect());
    let index = source.survey(37)?;
    for i in 0..index.n_blocks().min(5) {
        let _ = source.read_block(&index, i, &target);
    }
    let lens: Vec<u64> = columns.iter().flatten().map(|column| column.len() as u64).collect();
    assert!(lens.iter().all(|&len| len == index.n_rows()), "columns of {lens:?} rows in a table of {}", index.n_rows());
    columns.into_iter().collect::<Result<Vec<_>, Failure>>().map(drop)
}

fn mutate_and_read(path: &Path) {
    let whole = std::fs::read(path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mutant = dir.path().join(path.file_name().unwrap());
    let mut n_refused = 0;
    for seed in 0..n_mutants() {
        let mut bytes = whole.clone();
        mutate(&mut bytes, seed);
        std::fs::write(&mutant, &bytes).unwrap();
        let read = std::panic::catch_unwind(|| read_everything(&mutant));
        let read = read.unwrap_or_else(|_| panic!("{}: mutant {seed} made a reader panic", path.display()));
        if let Err(failure) = read {
            n_refused += 1;
            let sentence = &failure.message;
            assert!(!sentence.contains('\n') && sentence.len() < 1000, "{}: mutant {seed}: {sentence:?}", path.display());
            assert!(sentence.contains(path.file_name().unwrap().to_str().unwrap()), "mutant {seed}: {sentence}");
        }
    }
    assert!(n_refused > n_mutants() / 50, "{}: only {n_refused} of {} mutants were refused", path.display(), n_mutants());
}

#[test]
fn mutants_are_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(101);
    for format in FORMATS {
        mutate_and_read(&write(dir.path(), "t", format, &rows));
    }
}

#[test]
fn mutants_of_arrays_are_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<u8> = (0..240).collect();
    let arrays: [PathBuf; 2] =
        [npy_file(dir.path(), "c.npy", "<f8", false, "(10, 3)", &values), npy_file(dir.path(), "f.npy", ">i4", true, "(20, 3)", &values)];
    arrays.iter().for_each(|path| mutate_and_read(path));
}

#[test]
fn a_number_wanted_and_hostile_cells_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "t", "csv", &rows(101));
    let whole = std::fs::read(&path).unwrap();
    let target = ["size", "day", "at"].iter().zip([NumericKind::Float, NumericKind::Date, NumericKind::Timestamp]);
    let target = target.map(|(name, kind)| TargetColumn { name: (*name).to_owned(), target: TargetType::Numeric(kind) });
    let target = TargetSchema::new(target.collect());
    for seed in 0..n_mutants() {
        let mut bytes = whole.clone();
        mutate(&mut bytes, seed);
        std::fs::write(&path, &bytes).unwrap();
        let Ok(source) = TableSource::open(std::slice::from_ref(&path)) else { continue };
        let Ok(index) = source.survey(50) else { continue };
        for i in 0..index.n_blocks() {
            let _ = source.read_block(&index, i, &target);
        }
    }
}
