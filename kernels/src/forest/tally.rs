//! The rows of a node by their bin in one feature, in the order of the bins: as a histogram when rows are many, as a list of
//! rows when they are few. This room must not know what is counted, nor what the groups are compared for.

use super::criterion::{Measure, Sides};
use super::partition::RowIdx;

/// Up to this many rows a narrow feature is listed: clearing and reading a histogram of 256 bins costs more than that.
const MAX_CHAINED_ROWS: usize = 256;
/// Histogram cells for which one row must pay; with fewer rows a sort is cheaper.
const CELLS_PER_ROW: usize = 8;
/// Marks the end of a chain.
const END: u16 = u16::MAX;

/// Buffers for the groups of one feature at one node, used again for the next.
pub(super) struct Tally<M: Measure> {
    n_groups: usize,
    /// The bins that occur, ascending; the missing code, being the largest, comes last. Never fewer than 256 entries, of which the
    /// first `n_groups` count.
    bins: Vec<u16>,
    form: Form,
    n_cells: usize,
    /// Sums of bins [n_bins, n_cells]; all default outside of a filled tally.
    cells: Vec<M::Cell>,
    seen: Vec<bool>,
    /// Positions of rows in the order of their bins, and where each group of them ends; as many entries as `bins`.
    order: Vec<u32>,
    ends: Vec<u32>,
    chains: Chains,
    keys: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Histogram,
    List,
}

/// For each bin a chain of the rows in it. Only bins whose bit is set in `occupied` have a valid head, so that nothing but four
/// words is to be cleared.
struct Chains {
    occupied: [u64; 4],
    heads: [u16; 256],
    next: [u16; MAX_CHAINED_ROWS],
}

impl<M: Measure> Tally<M> {
    pub fn new(measure: &M) -> Self {
        Self {
            n_groups: 0,
            bins: vec![0; 256],
            form: Form::List,
            n_cells: measure.n_cells(),
            cells: Vec::new(),
            seen: Vec::new(),
            order: Vec::new(),
            ends: vec![0; 256],
            chains: Chains { occupied: [0; 4], heads: [END; 256], next: [END; MAX_CHAINED_ROWS] },
            keys: Vec::new(),
        }
    }

    /// Groups the rows, of which `item` tells the contribution by position, by their codes. The form depends on the numbers of rows,
    /// bins and cells only.
    pub fn fill<R: RowIdx>(&mut self, code: impl Fn(R) -> u16, n_bins: usize, rows: &[R], item: impl Fn(usize) -> M::Item) {
        self.n_groups = 0;
        self.form = Form::List;
        if rows.len() <= MAX_CHAINED_ROWS && n_bins <= 256 {
            self.fill_by_chains(code, rows);
        } else if rows.len() * CELLS_PER_ROW < n_bins * self.n_cells {
            self.fill_by_sort(code, rows);
        } else {
            self.fill_histogram(code, n_bins, rows, item);
        }
    }

    fn fill_histogram<R: RowIdx>(&mut self, code: impl Fn(R) -> u16, n_bins: usize, rows: &[R], item: impl Fn(usize) -> M::Item) {
        self.form = Form::Histogram;
        let n_cells = self.n_cells;
        if self.cells.len() < n_bins * n_cells {
            self.cells.resize(n_bins * n_cells, M::Cell::default());
        }
        self.seen.clear();
        self.seen.resize(n_bins, false);
        for (position, &row) in rows.iter().enumerate() {
            let bin = usize::from(code(row));
            self.seen[bin] = true;
            M::add(&mut self.cells[bin * n_cells..][..n_cells], item(position));
        }
        self.make_room_for_groups(n_bins);
        for (bin, &seen) in (0..=u16::MAX).zip(&self.seen) {
            self.bins[self.n_groups] = bin;
            self.n_groups += usize::from(seen);
        }
    }

    fn fill_by_chains<R: RowIdx>(&mut self, code: impl Fn(R) -> u16, rows: &[R]) {
        let Chains { occupied, heads, next } = &mut self.chains;
        *occupied = [0; 4];
        for ((position, &row), next) in (0u16..).zip(rows).zip(next.iter_mut()) {
            // Below 256, as there are no more bins.
            let code = code(row) as u8;
            let (word, bit) = (&mut occupied[usize::from(code >> 6)], 1u64 << (code & 63));
            let head = &mut heads[usize::from(code)];
            // All ones, which is END, unless the bin was seen: a branch would be guessed wrong half of the time.
            let unseen = ((*word >> (code & 63)) as u16 & 1).wrapping_sub(1);
            *next = *head | unseen;
            *head = position;
            *word |= bit;
        }
        if self.order.len() < rows.len() {
            self.order.resize(rows.len(), 0);
        }
        let (Some(bins), Some(ends)) = (self.bins.first_chunk_mut::<256>(), self.ends.first_chunk_mut::<256>()) else { return };
        let (mut n_groups, mut end) = (0, 0);
        for (word_idx, &word) in (0u16..).zip(occupied.iter()) {
            let mut bits = word;
            while bits != 0 {
                let bin = word_idx * 64 + bits.trailing_zeros() as u16;
                bits &= bits - 1;
                let mut position = heads[usize::from(bin)];
                while position != END {
                    self.order[end] = u32::from(position);
                    end += 1;
                    position = next[usize::from(position)];
                }
                bins[n_groups & 0xff] = bin;
                ends[n_groups & 0xff] = end as u32;
                n_groups += 1;
            }
        }
        self.n_groups = n_groups;
    }

    fn fill_by_sort<R: RowIdx>(&mut self, code: impl Fn(R) -> u16, rows: &[R]) {
        self.keys.clear();
        self.keys.extend((0u64..).zip(rows).map(|(position, &row)| u64::from(code(row)) << 32 | position));
        self.keys.sort_unstable();
        self.order.clear();
        self.order.extend(self.keys.iter().map(|&key| key as u32));
        self.make_room_for_groups(rows.len());
        let mut end = 0;
        for group in self.keys.chunk_by(|a, b| a >> 32 == b >> 32) {
            end += group.len();
            self.bins[self.n_groups] = (group[0] >> 32) as u16;
            self.ends[self.n_groups] = end as u32;
            self.n_groups += 1;
        }
    }

    /// One more than can occur, as the last one may be written before it is known whether it counts.
    fn make_room_for_groups(&mut self, n_groups: usize) {
        if self.bins.len() < n_groups + 1 {
            self.bins.resize(n_groups + 1, 0);
            self.ends.resize(n_groups + 1, 0);
        }
    }

    /// Makes the tally ready to be filled again; only bins that were used are cleared.
    pub fn clear(&mut self) {
        if self.form == Form::Histogram {
            for &bin in &self.bins[..self.n_groups] {
                self.cells[usize::from(bin) * self.n_cells..][..self.n_cells].fill(M::Cell::default());
            }
        }
        self.n_groups = 0;
        self.form = Form::List;
    }

    /// The bins that occur, ascending.
    pub fn bins(&self) -> &[u16] {
        &self.bins[..self.n_groups]
    }

    /// Moves the rows of one of the bins that occur to the left. `item` is that of the rows that it was filled with.
    #[inline]
    pub fn move_group(&self, group: usize, item: impl Fn(usize) -> M::Item, sides: &mut M::Sides) {
        match self.form {
            Form::Histogram => sides.move_cells(self.cells_of(group)),
            Form::List => self.positions_of(group).iter().for_each(|&position| sides.move_item(item(position as usize))),
        }
    }

    /// Adds the rows of one of the bins that occur to a level's sums.
    pub fn add_group_to_level(&self, group: usize, item: impl Fn(usize) -> M::Item, sums: &mut [f64]) {
        match self.form {
            Form::Histogram => M::add_cells_to_level(sums, self.cells_of(group)),
            Form::List => self.positions_of(group).iter().for_each(|&position| M::add_to_level(sums, item(position as usize))),
        }
    }

    fn cells_of(&self, group: usize) -> &[M::Cell] {
        &self.cells[usize::from(self.bins[group]) * self.n_cells..][..self.n_cells]
    }

    #[inline]
    fn positions_of(&self, group: usize) -> &[u32] {
        let start = if group == 0 { 0 } else { self.ends[group - 1] as usize };
        &self.order[start..self.ends[group] as usize]
    }
}
