//! The working memory of one thread. It must not know how equations are solved.

use super::feedback::Feedback;
use super::lanes::{Lanes, N_LANES, Processor, n_vectors};
use super::packed::{GROUP_ROWS, Gather, Layout};
use super::products::N_SUMS;
use super::rows::{Entries, FactorRows};

/// Bytes of gathered factors that are worked on at a time. Rows of up to 65,536 entries at 64 factors fit, and are gathered once; the
/// few that are longer are gathered for each pass, which still beats a buffer without a bound.
const GATHERED_BYTES: usize = 16 << 20;

/// The working memory of one thread: no more than its rows needed so far, and at most 16 MiB and a few vectors, and a matrix of
/// n_factors² f32 once one was factored.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) gathered: Gathered,
    pub(super) vectors: Vectors,
    /// [n_vectors, group_len], where it was needed.
    pub(super) matrix: Vec<Lanes>,
}

/// Vectors of factors, `[n_vectors]` each.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    pub(super) solution: Vec<Lanes>,
    pub(super) residual: Vec<Lanes>,
    pub(super) direction: Vec<Lanes>,
    pub(super) product: Vec<Lanes>,
    /// [N_SUMS, n_vectors]
    pub(super) sums: Vec<Lanes>,
}

impl Vectors {
    /// All of them zeros.
    pub(super) fn reset(&mut self, n_factors: usize) {
        let Self { solution, residual, direction, product, sums } = self;
        for (vector, n_copies) in [(solution, 1), (residual, 1), (direction, 1), (product, 1), (sums, N_SUMS)] {
            vector.clear();
            vector.resize(n_copies * n_vectors(n_factors), Lanes::ZERO);
        }
    }
}

/// A piece of a row's entries: the other side's factors side by side, and their weights and targets, padded with zeros to whole groups.
#[derive(Debug)]
pub(super) struct Gathered {
    /// How much is gathered at a time; changes no bit of a result.
    pub(super) piece_bytes: usize,
    rows: Vec<Lanes>,
    pub(super) weights: Vec<Lanes>,
    pub(super) targets: Vec<Lanes>,
    /// Of how many groups of rows the buffers hold something now.
    n_groups: usize,
    group_len: usize,
    n_entries: usize,
}

impl Default for Gathered {
    fn default() -> Self {
        let (rows, weights, targets) = (vec![], vec![], vec![]);
        Self { piece_bytes: GATHERED_BYTES, rows, weights, targets, n_groups: 0, group_len: 0, n_entries: 0 }
    }
}

/// A row's entries and what they mean, as far as gathering them goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) processor: Processor,
    pub(super) other: &'a FactorRows<'a>,
    pub(super) feedback: &'a Feedback<'a>,
    pub(super) row: usize,
    pub(super) entries: Entries<'a>,
}

impl Gathered {
    /// Forgets the row before.
    pub(super) fn clear(&mut self) {
        self.n_entries = 0;
    }

    /// The factors, [n_groups, group_len].
    pub(super) fn rows(&self) -> &[Lanes] {
        &self.rows[..self.n_groups * self.group_len]
    }

    /// Calls `work` with the entries of `source`, piece by piece. A row that fits in one piece is gathered once, for as many calls as
    /// there are until it is cleared.
    pub(super) fn for_each_piece(&mut self, source: Source<'_>, mut work: impl FnMut(&Self, Entries<'_>)) {
        let layout = Layout::new(source.other.n_factors());
        let piece_rows = (self.piece_bytes / size_of::<Lanes>() / layout.group_len()).max(1) * GROUP_ROWS;
        let is_one_piece = source.entries.len() <= piece_rows;
        for entries in source.entries.chunks(piece_rows) {
            if !is_one_piece || self.n_entries != entries.len() {
                self.fill(source, entries, layout);
            }
            work(self, entries);
        }
    }

    fn fill(&mut self, source: Source<'_>, entries: Entries<'_>, layout: Layout) {
        self.n_entries = entries.len();
        self.n_groups = entries.len().div_ceil(GROUP_ROWS);
        self.group_len = layout.group_len();
        grow(&mut self.rows, self.n_groups * self.group_len);
        grow(&mut self.weights, self.n_groups);
        grow(&mut self.targets, self.n_groups);
        source.processor.run(Gather { from: source.other, indices: entries.indices, to: &mut self.rows });
        for (weights, targets) in self.weights.iter_mut().zip(&mut self.targets).take(self.n_groups) {
            (*weights, *targets) = (Lanes::ZERO, Lanes::ZERO);
        }
        source.feedback.for_each_term(source.row, entries, |i, term| {
            self.weights[i / N_LANES].0[i % N_LANES] = term.weight as f32;
            self.targets[i / N_LANES].0[i % N_LANES] = term.target as f32;
        });
    }
}

fn grow(buffer: &mut Vec<Lanes>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, Lanes::ZERO);
    }
}
