//! How much memory a tree takes while it grows, beside the table and the tree itself: at most five bytes a row and a constant. The
//! only test of its process, because it counts all that is allocated there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Label, Table, random_table};
use paceline_kernels::forest::{GrowSettings, Grower, Nesting, Sampling, Tree};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, with a count of the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn note_allocated(n_bytes: usize) {
    let in_use = IN_USE.fetch_add(n_bytes, Relaxed) + n_bytes;
    PEAK.fetch_max(in_use, Relaxed);
}

#[expect(unsafe_code, reason = "the trait of allocators is unsafe; every call is handed on as it came")]
// SAFETY: all memory is the system allocator's, with the layouts that the callers gave.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note_allocated(layout.size());
        // SAFETY: the caller keeps the contract of this very method. A larger piece is got by the default method, by way of this
        // one and a copy, so that both pieces count while both are there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note_allocated(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Rows of the smaller table, and of the larger one.
const N_ROWS: [usize; 2] = [400_000, 1_200_000];
const MAX_BYTES_PER_ROW: usize = 5;
/// For each thread: codes and items of a block and of one inside it, the numbers of their rows, sums of bins, and the tree while it
/// is put together.
const MAX_CONSTANT_BYTES: usize = 4 << 20;
/// Leaves have at least this share of the rows, so that trees are small.
const ROWS_PER_SMALLEST_LEAF: usize = 2000;

/// The most bytes that were in use while `grow` ran, beyond those before, less those of its tree.
fn peak_bytes(grow: impl FnOnce() -> Tree) -> usize {
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let tree = grow();
    let n_tree_bytes = tree.nodes.len() * 8
        + 4 * (tree.level_words.len() + tree.leaf_shares.len())
        + 8 * (tree.leaf_means.len() + tree.feature_gains.len());
    PEAK.load(Relaxed) - before - n_tree_bytes
}

/// A case: which table, and how a tree is grown from it.
struct Case<'a> {
    what: &'a str,
    change: fn(&mut Table, &mut GrowSettings),
    nesting: Nesting,
    n_threads: usize,
}

impl Case<'_> {
    fn peak_bytes(&self, table: &Table) -> usize {
        let mut table = table.clone();
        let mut settings = table.settings(1);
        (self.change)(&mut table, &mut settings);
        settings.max_features = 3;
        settings.min_samples_leaf = (table.n_rows() / ROWS_PER_SMALLEST_LEAF) as u32;
        let grower = Grower::new(table.set(), table.rows(), settings).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.n_threads).build().unwrap();
        pool.install(|| peak_bytes(|| grower.grow(0, self.nesting)))
    }

    /// The bound itself, and that what grows with the table keeps it without the constant.
    fn check(&self, tables: &[Table]) {
        let [smaller, larger] = [0, 1].map(|i| self.peak_bytes(&tables[i]));
        let per_row = larger.saturating_sub(smaller) as f64 / (N_ROWS[1] - N_ROWS[0]) as f64;
        let what = format!("{}: {smaller} and {larger} bytes, {per_row:.2} more for each row", self.what);
        for (peak, n_rows) in [smaller, larger].into_iter().zip(N_ROWS) {
            assert!(peak <= self.n_threads * (MAX_BYTES_PER_ROW * n_rows + MAX_CONSTANT_BYTES), "{what}");
        }
        assert!(per_row <= (self.n_threads * MAX_BYTES_PER_ROW) as f64, "{what}");
    }
}

fn regress(table: &mut Table, settings: &mut GrowSettings) {
    table.label = Label::Values((0..table.n_rows()).map(|row| (row % 1013) as f64).collect());
    *settings = table.settings(1);
}

#[test]
fn a_tree_takes_at_most_five_bytes_a_row_while_it_grows() {
    let tables = N_ROWS.map(|n_rows| random_table(n_rows, 10, 2, 3, 1));
    let alone = |what, change| Case { what, change, nesting: Nesting::Sequential, n_threads: 1 };
    let shared = |what, change| Case { what, change, nesting: Nesting::Nested, n_threads: 2 };
    let weigh = |table: &mut Table, settings: &mut GrowSettings| {
        regress(table, settings);
        table.weights = Some((0..table.n_rows()).map(|row| (row % 3) as f64).collect());
    };
    for case in [
        alone("classes", |_, _| {}),
        alone("every row once", |_, settings| settings.sampling = Sampling::All),
        alone("half of the rows", |table, settings| settings.sampling = Sampling::Subsample { n_rows: table.n_rows() as u64 / 2 }),
        alone("limited depth", |_, settings| settings.max_depth = Some(6)),
        alone("limited leaves", |_, settings| settings.max_leaf_nodes = Some(300)),
        alone("random divisions", |_, settings| settings.extra_trees = true),
        alone("values", regress),
        alone("weighted values", weigh),
        shared("classes, two threads", |_, _| {}),
        shared("every row once, two threads", |_, settings| settings.sampling = Sampling::All),
        shared("values, two threads", regress),
    ] {
        case.check(&tables);
    }
}
