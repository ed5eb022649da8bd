//! How near the building of histograms is to what the machine can do: one pass over the rows of a node counts eight features into
//! bins. The kernels offer no pass by itself, so that its time is that of a tree of one split with sixteen features less that of one
//! with eight, on the same rows. Beside it stands what memory and caches gave to a plain loop in the same minute.

use paceline_benches::report::{Report, median};
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::{
    BinCodes, BinnedColumn, BinnedColumns, GrowSettings, Grower, Nesting, RowTable, Sampling, Target, TrainingSet,
};
use std::hint::black_box;
use std::time::Instant;

const N_LANES: usize = 8;
/// Two passes, and features that are left out so that something is drawn.
const N_FEATURES: usize = 54;
const N_BINS: usize = 255;
const N_CLASSES: u32 = 4;
const N_REPEATS: usize = 15;
/// Rows that all trees of a repeat look at together, so that short ones are worth a clock.
const ROWS_PER_REPEAT: usize = 2_000_000;
/// Bytes that a row and feature touch: the code, and a counter that is read and written.
const BYTES_PER_ROW_FEATURE: f64 = 1.0 + 4.0 + 4.0;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [once, n_rows, n_features, n_trees] = &arguments[..]
        && once == "--once"
    {
        let number = |text: &String| text.parse::<usize>().map_err(|e| format!("{text}: {e}; say --once ROWS FEATURES TREES"));
        let table = Codes::random(number(n_rows)?, N_FEATURES);
        return table.grow(number(n_features)?, number(n_trees)?);
    }
    let mut report = Report::new();
    for (place, n_bytes) in [("memory", 1 << 28), ("the second-level cache", 1 << 20), ("the first-level cache", 1 << 14)] {
        report.row(&format!("plain reading from {place}"), read_bandwidth(n_bytes), "GB/s");
    }
    let limit = counting_rate();
    report.row("counters of the first-level cache raised by a plain loop", limit, "million/s");
    for n_rows in [400_000, 32_768, 8_192, 2_048, 512] {
        let nanoseconds = pass_ns_per_row_feature(n_rows)?;
        let rate = 1e3 / nanoseconds;
        report.row(&format!("a pass over {n_rows} rows"), nanoseconds, "ns a row and feature");
        report.row(&format!("a pass over {n_rows} rows, bytes"), BYTES_PER_ROW_FEATURE / nanoseconds, "GB/s");
        report.row(&format!("a pass over {n_rows} rows, of the plain loop"), 100.0 * rate / limit, "%");
    }
    report.print(arguments.iter().any(|argument| argument == "--json"));
    Ok(())
}

/// A table of random codes, which every split leaves as mixed as it was.
struct Codes {
    codes: Vec<BinCodes>,
    thresholds: Vec<f64>,
    classes: Vec<u32>,
}

impl Codes {
    fn random(n_rows: usize, n_features: usize) -> Self {
        let mut draws = Draws::new(1, 0, 0);
        let codes = (0..n_features).map(|_| BinCodes::U8((0..n_rows).map(|_| draws.below(N_BINS as u64) as u8).collect())).collect();
        let classes = (0..n_rows).map(|_| draws.below(N_CLASSES.into()) as u32).collect();
        Self { codes, thresholds: (1..N_BINS).map(|bin| bin as f64).collect(), classes }
    }

    fn n_rows(&self) -> usize {
        self.classes.len()
    }

    fn grow(&self, n_features_per_split: usize, n_trees: usize) -> Result<(), String> {
        let columns = self.codes.iter().map(|codes| BinnedColumn::numeric(codes.as_codes(), &self.thresholds)).collect();
        let columns = BinnedColumns::new(columns).map_err(|e| e.to_string())?;
        let rows = RowTable::in_memory(&columns);
        let target = Target::Classes { classes: &self.classes, n_classes: N_CLASSES };
        let set = TrainingSet::new(columns, target, None).map_err(|e| e.to_string())?;
        let usual = GrowSettings::classification(self.n_rows(), self.codes.len(), 1);
        let settings = GrowSettings { max_features: n_features_per_split, max_depth: Some(1), sampling: Sampling::All, ..usual };
        let grower = Grower::new(set, rows, settings).map_err(|e| e.to_string())?;
        (0..n_trees as u64).for_each(|tree_idx| {
            black_box(grower.grow(tree_idx, Nesting::Sequential));
        });
        Ok(())
    }

    fn seconds(&self, n_features_per_split: usize, n_trees: usize) -> Result<f64, String> {
        let begin = Instant::now();
        self.grow(n_features_per_split, n_trees)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

fn pass_ns_per_row_feature(n_rows: usize) -> Result<f64, String> {
    let table = Codes::random(n_rows, N_FEATURES);
    let n_trees = (ROWS_PER_REPEAT / n_rows).max(1);
    let mut figures = Vec::new();
    for _ in 0..N_REPEATS {
        let (one_pass, two_passes) = (table.seconds(N_LANES, n_trees)?, table.seconds(2 * N_LANES, n_trees)?);
        figures.push((two_passes - one_pass) * 1e9 / (n_trees * n_rows * N_LANES) as f64);
    }
    Ok(median(&figures))
}

/// Gigabytes a second of one thread that adds up words.
fn read_bandwidth(n_bytes: usize) -> f64 {
    let words = vec![1_u64; n_bytes / 8];
    let n_rounds = (1 << 29) / n_bytes;
    let figures: Vec<f64> = (0..N_REPEATS)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..n_rounds {
                black_box(black_box(&words).iter().fold(0_u64, |sum, &word| sum.wrapping_add(word)));
            }
            (n_rounds * n_bytes) as f64 / begin.elapsed().as_secs_f64() / 1e9
        })
        .collect();
    median(&figures)
}

/// Millions of counters a second that one thread raises, eight side by side, at places that are known beforehand.
fn counting_rate() -> f64 {
    let mut draws = Draws::new(2, 0, 0);
    let mut counters = vec![0_u32; 256 * N_LANES];
    let places: Vec<[u16; N_LANES]> =
        (0..4096).map(|_| std::array::from_fn(|lane| (draws.below(256) as usize * N_LANES + lane) as u16)).collect();
    let n_rounds = 500;
    let figures: Vec<f64> = (0..N_REPEATS)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..n_rounds {
                let (places, counters) = (black_box(&places), black_box(&mut counters));
                places.iter().for_each(|places| places.iter().for_each(|&place| counters[usize::from(place)] += 1));
            }
            (n_rounds * places.len() * N_LANES) as f64 / begin.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    median(&figures)
}
