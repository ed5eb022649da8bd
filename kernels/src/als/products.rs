//! Products of packed rows with a vector, and sums of packed rows. It must not know what they stand for.

use super::lanes::{Lanes, Simd, Work};
use super::packed::{GROUP_ROWS, Layout, PANEL_VECTORS};

/// Running sums of a sum of rows: row j goes into sum j mod 2. Two of a panel's four vectors keep both multipliers busy.
pub(super) const N_SUMS: usize = 2;
/// Groups of rows that are read twice in a row, for their products and then for their sum: for common numbers of factors they stay in
/// the first-level cache in between.
const STRIP_GROUPS: usize = 4;

/// Adds to `sums` the rows, each with the coefficient `weight * (row · vector) - target`: one read of the rows gives a product with the
/// matrix that they make up.
pub(super) struct AddProjected<'a> {
    pub(super) layout: Layout,
    /// [n_groups, group_len]
    pub(super) rows: &'a [Lanes],
    /// `[n_vectors]`
    pub(super) vector: &'a [Lanes],
    /// `[n_groups]`
    pub(super) weights: &'a [Lanes],
    /// `[n_groups]`; zeros where there are none.
    pub(super) targets: Option<&'a [Lanes]>,
    /// [N_SUMS, n_vectors]
    pub(super) sums: &'a mut [Lanes],
}

impl Work for AddProjected<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let minus = simd.splat(-1.0);
        let mut coefficients = [Lanes::ZERO; STRIP_GROUPS];
        for (s, strip) in self.rows.chunks(STRIP_GROUPS * self.layout.group_len()).enumerate() {
            let groups = strip.chunks_exact(self.layout.group_len());
            for ((g, group), coefficients) in groups.enumerate().zip(&mut coefficients) {
                let g = s * STRIP_GROUPS + g;
                let minus_targets = match self.targets {
                    Some(targets) => simd.mul(minus, simd.load(&targets[g].0)),
                    None => simd.splat(0.0),
                };
                let products = group_products(simd, self.layout, group, self.vector);
                simd.store(simd.mul_add(simd.load(&self.weights[g].0), products, minus_targets), &mut coefficients.0);
            }
            add_groups(simd, self.layout, strip, &coefficients, self.sums);
        }
    }
}

/// Adds to `sums` the rows, each with its coefficient.
pub(super) struct AddRows<'a> {
    pub(super) layout: Layout,
    /// [n_groups, group_len]
    pub(super) rows: &'a [Lanes],
    /// `[n_groups]`
    pub(super) coefficients: &'a [Lanes],
    /// [N_SUMS, n_vectors]
    pub(super) sums: &'a mut [Lanes],
}

impl Work for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        add_groups(simd, self.layout, self.rows, self.coefficients, self.sums);
    }
}

/// The product of each row with `vector`.
pub(super) struct Products<'a> {
    pub(super) layout: Layout,
    /// [n_groups, group_len]
    pub(super) rows: &'a [Lanes],
    /// `[n_vectors]`
    pub(super) vector: &'a [Lanes],
    /// `[n_groups]`
    pub(super) to: &'a mut [Lanes],
}

impl Work for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (group, to) in self.rows.chunks_exact(self.layout.group_len()).zip(self.to) {
            simd.store(group_products(simd, self.layout, group, self.vector), &mut to.0);
        }
    }
}

/// The products of sixteen rows with `vector`.
#[inline(always)]
fn group_products<S: Simd>(simd: S, layout: Layout, group: &[Lanes], vector: &[Lanes]) -> S::Vector {
    let mut sums = [simd.splat(0.0); GROUP_ROWS];
    for (p, vector) in vector.chunks(PANEL_VECTORS).enumerate() {
        let panel = &group[p * PANEL_VECTORS * GROUP_ROWS..][..vector.len() * GROUP_ROWS];
        match layout.panel_width(p * PANEL_VECTORS) {
            1 => add_panel_products::<S, 1>(simd, panel, vector, &mut sums),
            2 => add_panel_products::<S, 2>(simd, panel, vector, &mut sums),
            3 => add_panel_products::<S, 3>(simd, panel, vector, &mut sums),
            _ => add_panel_products::<S, PANEL_VECTORS>(simd, panel, vector, &mut sums),
        }
    }
    simd.sums(&sums)
}

#[inline(always)]
fn add_panel_products<S: Simd, const WIDTH: usize>(simd: S, panel: &[Lanes], vector: &[Lanes], sums: &mut [S::Vector; GROUP_ROWS]) {
    if S::IS_WIDE {
        add_some_products::<S, WIDTH, GROUP_ROWS>(simd, panel, vector, sums, 0);
    } else {
        // Four rows at a time: their sums fit in the registers.
        for first in [0, 4, 8, 12] {
            add_some_products::<S, WIDTH, 4>(simd, panel, vector, sums, first);
        }
    }
}

/// `N_ROWS` rows of a panel from `first` on. Lane l of a sum takes the elements l, l + 16, … in order.
#[inline(always)]
fn add_some_products<S: Simd, const WIDTH: usize, const N_ROWS: usize>(
    simd: S,
    panel: &[Lanes],
    vector: &[Lanes],
    sums: &mut [S::Vector; GROUP_ROWS],
    first: usize,
) {
    let panel = &panel[first * WIDTH..][..N_ROWS * WIDTH];
    let vector = &vector[..WIDTH];
    for v in 0..WIDTH {
        let factor = simd.load(&vector[v].0);
        for r in 0..N_ROWS {
            sums[first + r] = simd.mul_add(simd.load(&panel[r * WIDTH + v].0), factor, sums[first + r]);
        }
    }
}

/// Adds rows with their coefficients to the running sums, panel by panel.
#[inline(always)]
fn add_groups<S: Simd>(simd: S, layout: Layout, rows: &[Lanes], coefficients: &[Lanes], sums: &mut [Lanes]) {
    let (even, odd) = sums.split_at_mut(layout.n_vectors);
    let panels = even.chunks_mut(PANEL_VECTORS).zip(odd.chunks_mut(PANEL_VECTORS));
    for (p, (even, odd)) in panels.enumerate() {
        let panel = Panel { layout, rows, coefficients, first_vector: p * PANEL_VECTORS };
        match layout.panel_width(panel.first_vector) {
            1 => panel.add::<S, 1, 1>(simd, 0, even, odd),
            2 => panel.add::<S, 2, 2>(simd, 0, even, odd),
            3 => panel.add::<S, 3, 3>(simd, 0, even, odd),
            _ if S::IS_WIDE => panel.add::<S, PANEL_VECTORS, PANEL_VECTORS>(simd, 0, even, odd),
            _ => {
                panel.add::<S, PANEL_VECTORS, 2>(simd, 0, even, odd);
                panel.add::<S, PANEL_VECTORS, 2>(simd, 2, even, odd);
            }
        }
    }
}

/// The same panel of all groups.
#[derive(Clone, Copy)]
struct Panel<'a> {
    layout: Layout,
    rows: &'a [Lanes],
    coefficients: &'a [Lanes],
    first_vector: usize,
}

impl Panel<'_> {
    /// Adds `N_COLUMNS` of its `WIDTH` vectors, from `first` on, to the running sums of even and odd rows.
    #[inline(always)]
    fn add<S: Simd, const WIDTH: usize, const N_COLUMNS: usize>(self, simd: S, first: usize, even: &mut [Lanes], odd: &mut [Lanes]) {
        let (even, odd) = (&mut even[first..][..N_COLUMNS], &mut odd[first..][..N_COLUMNS]);
        let mut sums = [[simd.splat(0.0); N_COLUMNS]; N_SUMS];
        for c in 0..N_COLUMNS {
            sums[0][c] = simd.load(&even[c].0);
            sums[1][c] = simd.load(&odd[c].0);
        }
        for (group, coefficients) in self.rows.chunks_exact(self.layout.group_len()).zip(self.coefficients) {
            let panel = &group[Layout::panel_start(self.first_vector)..][..GROUP_ROWS * WIDTH];
            for r in (0..GROUP_ROWS).step_by(N_SUMS) {
                for s in 0..N_SUMS {
                    let coefficient = simd.splat(coefficients.0[r + s]);
                    for c in 0..N_COLUMNS {
                        sums[s][c] = simd.mul_add(coefficient, simd.load(&panel[(r + s) * WIDTH + first + c].0), sums[s][c]);
                    }
                }
            }
        }
        for c in 0..N_COLUMNS {
            simd.store(sums[0][c], &mut even[c].0);
            simd.store(sums[1][c], &mut odd[c].0);
        }
    }
}
