//! Blocks of rows against given types: the same rows whatever the format, the size of a block and the order of reading.

use super::fixtures::{FORMATS, expected, npy_file, open, rows, text_file, write};
use crate::table::{
    BlockColumn, BlockIndex, Column, MISSING_CODE, NumericKind, TableSource, TargetColumn, TargetSchema, TargetType, UNSEEN_CODE,
};

fn numeric(name: &str, kind: NumericKind) -> TargetColumn {
    TargetColumn { name: name.to_owned(), target: TargetType::Numeric(kind) }
}

fn categorical(name: &str, levels: &[&str]) -> TargetColumn {
    TargetColumn { name: name.to_owned(), target: TargetType::Categorical(levels.iter().map(|&level| level.to_owned()).collect()) }
}

/// All blocks, read in the order of `order`, put together in row order.
fn read_all(source: &TableSource, index: &BlockIndex, target: &TargetSchema, order: &[u64]) -> Vec<BlockColumn> {
    let mut blocks: Vec<(u64, Vec<BlockColumn>)> = order.iter().map(|&i| (i, source.read_block(index, i, target).unwrap())).collect();
    blocks.sort_by_key(|&(i, _)| i);
    let mut whole = target.empty_block();
    for (i, block) in blocks {
        for (whole, part) in whole.iter_mut().zip(block) {
            let n_rows = index.block_rows(i).end - index.block_rows(i).start;
            match (whole, part) {
                (BlockColumn::Numeric(whole), BlockColumn::Numeric(part)) => {
                    assert_eq!(part.len() as u64, n_rows);
                    whole.extend(part);
                }
                (BlockColumn::Categorical(whole), BlockColumn::Categorical(part)) => {
                    assert_eq!(part.len() as u64, n_rows);
                    whole.extend(part);
                }
                _ => panic!("a block's column is of another kind"),
            }
        }
    }
    whole
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
}

#[test]
fn blocks_add_up_to_the_columns() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(103);
    let target = TargetSchema::new(vec![
        categorical("section", &["admin", "äöü", "two\nlines"]),
        numeric("size", NumericKind::Float),
        numeric("at", NumericKind::Timestamp),
        numeric("size", NumericKind::Float),
    ]);
    let Column::Text(sections) = expected(&rows, "section") else { panic!() };
    let known: Vec<u32> = sections
        .codes
        .iter()
        .map(|&code| match sections.levels.get(code as usize).map(String::as_str) {
            None => MISSING_CODE,
            Some("admin") => 0,
            Some("äöü") => 1,
            Some("two\nlines") => 2,
            Some(_) => UNSEEN_CODE,
        })
        .collect();
    let Column::Numeric(sizes) = expected(&rows, "size") else { panic!() };
    let Column::Numeric(times) = expected(&rows, "at") else { panic!() };
    for format in FORMATS {
        let first = write(dir.path(), "a", format, &rows[..61]);
        let second = write(dir.path(), "b", format, &rows[61..]);
        let source = TableSource::open(&[first, second]).unwrap();
        source.check_target(&target).unwrap();
        for rows_per_block in [1, 7, 32, 61, 1000] {
            let index = source.survey(rows_per_block).unwrap();
            let index = BlockIndex::from_bytes(&index.to_bytes().unwrap()).unwrap();
            assert_eq!(index.n_rows(), 103);
            assert_eq!(index.n_blocks(), 61u64.div_ceil(rows_per_block) + 42u64.div_ceil(rows_per_block));
            let forward: Vec<u64> = (0..index.n_blocks()).collect();
            let backward: Vec<u64> = forward.iter().rev().copied().collect();
            for order in [forward, backward] {
                let whole = read_all(&source, &index, &target, &order);
                let what = format!("{format} by {rows_per_block}");
                assert_eq!(whole[0], BlockColumn::Categorical(known.clone()), "{what}");
                assert!(matches!(&whole[1], BlockColumn::Numeric(v) if bits(v) == bits(&sizes.values)), "{what}");
                assert!(matches!(&whole[2], BlockColumn::Numeric(v) if bits(v) == bits(&times.values)), "{what}");
                assert!(matches!(&whole[3], BlockColumn::Numeric(v) if bits(v) == bits(&sizes.values)), "{what}");
            }
        }
    }
}

#[test]
fn blocks_of_an_array_are_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<u8> = (0..30u8).collect();
    for is_fortran in [false, true] {
        let source = open(&npy_file(dir.path(), "a.npy", "|u1", is_fortran, "(10, 3)", &values));
        let target = TargetSchema::new(vec![numeric("x2", NumericKind::Float), categorical("x0", &["3", "1"])]);
        let index = source.survey(4).unwrap();
        let whole = read_all(&source, &index, &target, &[2, 0, 1]);
        let at = |row: u8, column: u8| f64::from(if is_fortran { column * 10 + row } else { row * 3 + column });
        assert_eq!(whole[0], BlockColumn::Numeric((0..10).map(|row| at(row, 2)).collect()));
        let code = |row: u8| match at(row, 0) {
            3.0 => 0,
            1.0 => 1,
            _ => UNSEEN_CODE,
        };
        assert_eq!(whole[1], BlockColumn::Categorical((0..10).map(code).collect()));
    }
}

#[test]
fn the_target_decides_what_a_cell_means() {
    let dir = tempfile::tempdir().unwrap();
    let source = open(&text_file(dir.path(), "t.csv", "code,flag,day\n7.0,1,2013-01-01\n07,true,NA\nseven,,2013-01-02\n"));
    let index = source.survey(65_536).unwrap();
    let read = |column: TargetColumn| source.read_block(&index, 0, &TargetSchema::new(vec![column]));
    // Levels that are numbers: any spelling of the number will do. Levels that are text: only their own.
    assert_eq!(read(categorical("code", &["7", "8"])).unwrap(), [BlockColumn::Categorical(vec![0, 0, UNSEEN_CODE])]);
    assert_eq!(read(categorical("code", &["7", "seven"])).unwrap(), [BlockColumn::Categorical(vec![UNSEEN_CODE, UNSEEN_CODE, 1])]);
    let flags = read(numeric("flag", NumericKind::Bool)).unwrap();
    assert!(matches!(&flags[0], BlockColumn::Numeric(v) if v[0] == 1.0 && v[1] == 1.0 && v[2].is_nan()));
    let days = read(numeric("day", NumericKind::Timestamp)).unwrap();
    assert!(matches!(&days[0], BlockColumn::Numeric(v) if v[0] == 15706.0 * 86400.0 && v[1].is_nan()));
    let refusal = read(numeric("code", NumericKind::Float)).unwrap_err();
    assert!(refusal.message.contains("line 4: column 'code' holds \"seven\" where numbers are wanted"), "{refusal}");
    let refusal = read(numeric("day", NumericKind::Float)).unwrap_err();
    assert!(refusal.message.contains("line 2: column 'day' holds \"2013-01-01\" where numbers are wanted"), "{refusal}");
}

#[test]
fn blocks_of_a_compressed_table_can_be_read_by_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(500);
    let source = open(&write(dir.path(), "t", "csv.gz", &rows));
    let target = TargetSchema::new(vec![numeric("size", NumericKind::Float)]);
    let index = source.survey(10).unwrap();
    let next = std::sync::atomic::AtomicU64::new(0);
    let blocks = std::sync::Mutex::new(vec![Vec::new(); 50]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if i >= index.n_blocks() {
                        break;
                    }
                    let block = source.read_block(&index, i, &target).unwrap();
                    blocks.lock().unwrap()[usize::try_from(i).unwrap()] = block;
                }
            });
        }
    });
    let all = blocks.into_inner().unwrap();
    let values: Vec<f64> = all.iter().flatten().flat_map(|c| if let BlockColumn::Numeric(v) = c { v.clone() } else { panic!() }).collect();
    let Column::Numeric(sizes) = expected(&rows, "size") else { panic!() };
    assert_eq!(bits(&values), bits(&sizes.values));
}

#[test]
fn an_index_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(20);
    let source = open(&write(dir.path(), "t", "csv", &rows));
    let index = source.survey(8).unwrap();
    let target = TargetSchema::new(vec![numeric("size", NumericKind::Float)]);
    assert!(source.read_block(&index, 3, &target).is_err());
    assert_eq!(index.block_rows(3), 0..0);
    let text = String::from_utf8(index.to_bytes().unwrap()).unwrap();
    for (from, to) in [("\"n_rows\":20", "\"n_rows\":9"), ("\"rows_per_block\":8", "\"rows_per_block\":0"), ("\"row\":8", "\"row\":9")] {
        assert!(BlockIndex::from_bytes(text.replace(from, to).as_bytes()).is_err(), "{to}");
    }
}
