//! Rows in blocks: laid out as is written of them, and the same trees from any blocks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Feature, Label, Table, random_table_with};
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::{BinCodes, BinnedColumns, Codes, GrowSettings, Grower, Nesting, RowLayout, RowTable};

/// Codes up to a largest one, which occurs.
fn random_codes(n_rows: usize, largest: u16, draws: &mut Draws) -> BinCodes {
    let mut codes: Vec<u16> = (0..n_rows).map(|_| draws.below(u64::from(largest) + 1) as u16).collect();
    codes[n_rows / 2] = largest;
    if largest < 256 { BinCodes::U8(codes.into_iter().map(|code| code as u8).collect()) } else { BinCodes::U16(codes) }
}

fn code(codes: &Codes<'_>, row: usize) -> u16 {
    match codes {
        Codes::U8(codes) => codes[row].into(),
        Codes::U16(codes) => codes[row],
    }
}

/// A row by the written rule: words of 16 bits filled from below with as many bits as each feature's largest code has, the widest
/// feature first; no code is in two words.
fn naive_row(columns: &[Codes<'_>], largest_codes: &[u16], row: usize, stride: usize) -> Vec<u8> {
    let mut words = vec![String::new()];
    for width in (0..=16).rev() {
        for (codes, largest) in columns.iter().zip(largest_codes) {
            let n_bits = if *largest == 0 { 0 } else { format!("{largest:b}").len() };
            if n_bits != width || n_bits == 0 {
                continue;
            }
            if words.last().unwrap().len() + n_bits > 16 {
                words.push(String::new());
            }
            let word = words.last_mut().unwrap();
            *word = format!("{:0n_bits$b}{word}", code(codes, row));
        }
    }
    let parsed = |word: &String| if word.is_empty() { 0 } else { u16::from_str_radix(word, 2).unwrap() };
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| parsed(word).to_le_bytes()).collect();
    assert!(bytes.len() <= stride);
    bytes.resize(stride, 0);
    bytes
}

#[test]
fn rows_are_laid_out_as_is_written() {
    let mut draws = Draws::new(1, 0, 0);
    let mixed = |n: usize| (0..n).map(|i| [1, 254, 3, 1000, 0, 65_535, 16][i % 7]).collect::<Vec<_>>();
    for (largest_codes, stride) in [
        (vec![0], 2),
        (vec![1; 16], 2),
        (vec![1; 17], 4),
        (vec![65_535], 2),
        (vec![255; 16], 16),
        (vec![255; 17], 32),
        ([vec![1; 44], vec![255; 10]].concat(), 16),
        (vec![7, 300, 1, 20, 65_535], 8),
        (vec![1000; 20], 64),
        (vec![255; 65], 128),
        (mixed(100), 128),
    ] {
        let n_rows = 2 * 1024 + 77;
        let columns: Vec<BinCodes> = largest_codes.iter().map(|&largest| random_codes(n_rows, largest, &mut draws)).collect();
        let columns: Vec<Codes<'_>> = columns.iter().map(BinCodes::as_codes).collect();
        let layout = RowLayout::of_largest(largest_codes.iter().copied());
        assert_eq!((layout.stride_bytes(), &layout), (stride, &RowLayout::of_codes(&columns)), "{largest_codes:?}");
        for rows in [0..n_rows, 0..1, 5..5, 1000..1024, 1023..n_rows] {
            let mut laid_out = vec![9; 3];
            layout.append_rows(&columns, rows.clone(), &mut laid_out).unwrap();
            let expected: Vec<u8> = rows.flat_map(|row| naive_row(&columns, &largest_codes, row, stride)).collect();
            assert_eq!(laid_out[..3], [9; 3], "what stood there before stays");
            assert!(laid_out[3..] == expected, "{largest_codes:?}");
        }
        assert!(layout.append_rows(&columns, 0..n_rows + 1, &mut Vec::new()).is_err());
        assert!(layout.append_rows(&columns[1..], 0..1, &mut Vec::new()).is_err());
        let narrower = RowLayout::of_largest(largest_codes.iter().map(|&largest| largest / 2));
        let refused = narrower.append_rows(&columns, 0..n_rows, &mut Vec::new()).is_err();
        assert_eq!(refused, largest_codes != [0], "{largest_codes:?}");
    }
}

fn layout(columns: &BinnedColumns<'_>) -> RowLayout {
    RowLayout::of_codes(&columns.codes())
}

fn blocks_of(columns: &BinnedColumns<'_>, rows_per_block: usize) -> Vec<Vec<u8>> {
    let (codes, n_rows) = (columns.codes(), columns.n_rows());
    let layout = RowLayout::of_codes(&codes);
    let block = |first: usize| {
        let mut block = Vec::new();
        layout.append_rows(&codes, first..n_rows.min(first + rows_per_block), &mut block).unwrap();
        block
    };
    (0..n_rows).step_by(rows_per_block).map(block).collect()
}

fn as_slices(blocks: &[Vec<u8>]) -> Vec<&[u8]> {
    blocks.iter().map(Vec::as_slice).collect()
}

fn check_blocks(table: &Table, settings: GrowSettings) {
    let columns = table.columns();
    let alone = table.grow(settings, 0);
    assert!(alone.n_nodes() > 20);
    for rows_per_block in [1, 64, 1024, 1 << 20] {
        let blocks = blocks_of(&columns, rows_per_block);
        let rows = RowTable::of_blocks(&columns, layout(&columns), rows_per_block, as_slices(&blocks)).unwrap();
        let tree = Grower::new(table.set(), rows, settings).unwrap().grow(0, Nesting::Sequential);
        assert_eq!(tree, alone, "{rows_per_block} rows a block");
    }
}

#[test]
fn blocks_of_any_size_give_the_same_tree() {
    // Strides of 8, 16, 32 and 64 bytes, narrow.
    for n_features in [5, 12, 20, 40] {
        let table = random_table_with(3001, n_features, 1, 3, 1e5, n_features as u64);
        check_blocks(&table, table.settings(1));
    }
    let mut draws = Draws::new(2, 0, 0);
    let mut wide = |n: usize| Feature::Numeric((0..n).map(|_| draws.below(1 << 20) as f64).collect());
    // Wide alone, mixed in a line, and rows of more than one.
    for n_wide in [1, 3, 40] {
        let mut table = random_table_with(3001, 4, 1, 0, 1e5, 3);
        let mut features = table.features.clone();
        features.extend((0..n_wide).map(|_| wide(3001)));
        table = Table::with_bins(features, table.label, None, 2000);
        check_blocks(&table, table.settings(2));
    }
    let alone = Table::with_bins(vec![wide(3001)], Label::Values((0..3001).map(|row| f64::from(row % 17)).collect()), None, 2000);
    check_blocks(&alone, alone.settings(2));
}

#[test]
fn blocks_that_do_not_fit_are_refused() {
    let table = random_table_with(1000, 5, 0, 2, 20.0, 1);
    let columns = table.columns();
    let blocks = blocks_of(&columns, 256);
    let refused =
        |rows_per_block, blocks: &[Vec<u8>]| RowTable::of_blocks(&columns, layout(&columns), rows_per_block, as_slices(blocks)).is_err();
    assert!(!refused(256, &blocks));
    assert!(refused(255, &blocks) && refused(0, &blocks) && refused(512, &blocks) && refused(256, &blocks[1..]));
    let mut short = blocks.clone();
    short[2].pop();
    assert!(refused(256, &short));
    let stride = layout(&columns).stride_bytes();
    for (block, byte) in [(0, 0), (1, 77 * stride), (3, 231 * stride)] {
        let mut bad = blocks.clone();
        bad[block][byte] = 255;
        assert!(refused(256, &bad), "a code beyond its bins");
    }
    let other = random_table_with(1000, 6, 0, 2, 20.0, 1);
    assert!(Grower::new(other.set(), table.rows(), other.settings(0)).is_err());
    let longer = random_table_with(1001, 5, 0, 2, 20.0, 1);
    assert!(Grower::new(longer.set(), table.rows(), longer.settings(0)).is_err());
}
