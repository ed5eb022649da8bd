//! Gini in all lanes at once, over the classes that occur in a node, counted or weighed. This room must not know bins, features
//! or trees.

use super::vector::Vector;
use super::{LaneSums, N_LANES};

/// Classes of a node that a byte can tell apart.
const MAX_CLASSES: usize = 256;

/// A row's contribution: one class, numbered among those of the node, and how much it counts.
pub(in crate::forest) trait ClassItem: Copy + Default + Send {
    /// One sum of a bin.
    type Cell: Copy + Default + PartialEq + Send + Into<f64>;
    /// Whether a bin counts draws in a cell of their own, behind those of the classes.
    const HAS_DRAWS_CELL: bool;

    fn class(self) -> usize;
    fn weight(self) -> f64;
    fn packed(self, position: usize) -> u32;
    fn unpacked(packed: u32, items: &[Self]) -> Self;
    fn add_to(self, cell: &mut Self::Cell);
    fn add_draws_to(self, cell: &mut Self::Cell);
    /// The classes, weights and draws of the rows of a key.
    fn of_key<V: Vector>(vector: V, words: V::Words, key: &[u32; N_LANES], items: &[Self]) -> (V::Words, V::Doubles, V::Doubles);
    /// Cells as doubles.
    fn load<V: Vector>(vector: V, cells: &[Self::Cell; N_LANES]) -> V::Doubles;
}

/// A class and its draws in two bytes, so that they fit into a key.
#[derive(Clone, Copy, Default)]
pub(in crate::forest) struct LaneClass(u16);

impl LaneClass {
    fn new(class: u8, draws: u8) -> Self {
        Self(u16::from(class) << 8 | u16::from(draws))
    }
}

impl ClassItem for LaneClass {
    type Cell = u32;
    const HAS_DRAWS_CELL: bool = false;

    #[inline(always)]
    fn class(self) -> usize {
        usize::from(self.0 >> 8)
    }
    #[inline(always)]
    fn weight(self) -> f64 {
        f64::from(self.0 & 0xff)
    }
    #[inline(always)]
    fn packed(self, _position: usize) -> u32 {
        u32::from(self.0)
    }
    #[inline(always)]
    fn unpacked(packed: u32, _items: &[Self]) -> Self {
        Self(packed as u16)
    }
    #[inline(always)]
    fn add_to(self, cell: &mut u32) {
        *cell += u32::from(self.0 & 0xff);
    }
    #[inline(always)]
    fn add_draws_to(self, _cell: &mut u32) {}
    #[inline(always)]
    fn of_key<V: Vector>(vector: V, words: V::Words, _key: &[u32; N_LANES], _items: &[Self]) -> (V::Words, V::Doubles, V::Doubles) {
        let draws = vector.to_doubles(vector.field::<0>(words, 0xff));
        (vector.field::<8>(words, 0xff), draws, draws)
    }
    #[inline(always)]
    fn load<V: Vector>(vector: V, cells: &[u32; N_LANES]) -> V::Doubles {
        vector.to_doubles(vector.load_words(cells))
    }
}

/// A class with its weight, the row's own times its draws.
#[derive(Clone, Copy, Default)]
pub(in crate::forest) struct LaneWeight {
    weight: f64,
    class: u8,
    draws: u8,
}

impl ClassItem for LaneWeight {
    type Cell = f64;
    const HAS_DRAWS_CELL: bool = true;

    #[inline(always)]
    fn class(self) -> usize {
        usize::from(self.class)
    }
    #[inline(always)]
    fn weight(self) -> f64 {
        self.weight
    }
    #[inline(always)]
    fn packed(self, position: usize) -> u32 {
        position as u32
    }
    #[inline(always)]
    fn unpacked(packed: u32, items: &[Self]) -> Self {
        items[packed as usize]
    }
    #[inline(always)]
    fn add_to(self, cell: &mut f64) {
        *cell += self.weight;
    }
    #[inline(always)]
    fn add_draws_to(self, cell: &mut f64) {
        *cell += f64::from(self.draws);
    }
    #[inline(always)]
    fn of_key<V: Vector>(vector: V, _words: V::Words, key: &[u32; N_LANES], items: &[Self]) -> (V::Words, V::Doubles, V::Doubles) {
        let (mut classes, mut weights, mut draws) = ([0; N_LANES], [0.0; N_LANES], [0.0; N_LANES]);
        for lane in 0..N_LANES {
            let item = items[(key[lane] & 0xffff) as usize];
            (classes[lane], weights[lane], draws[lane]) = (u32::from(item.class), item.weight, f64::from(item.draws));
        }
        (vector.load_words(&classes), vector.load(&weights), vector.load(&draws))
    }
    #[inline(always)]
    fn load<V: Vector>(vector: V, cells: &[f64; N_LANES]) -> V::Doubles {
        vector.load(cells)
    }
}

/// Sums over the classes of a node and of the left side in each lane.
pub(in crate::forest) struct ClassLanes<I> {
    /// The number of each class among those of the node.
    local_classes: Vec<u8>,
    items: std::marker::PhantomData<I>,
    node: Vec<f64>,
    node_weight: f64,
    node_draws: f64,
    left: Vec<[f64; N_LANES]>,
    left_weight: [f64; N_LANES],
    left_draws: [f64; N_LANES],
}

impl<I: ClassItem> ClassLanes<I> {
    pub fn new(n_classes: usize) -> Self {
        Self {
            local_classes: vec![0; n_classes],
            items: std::marker::PhantomData,
            node: Vec::new(),
            node_weight: 0.0,
            node_draws: 0.0,
            left: Vec::new(),
            left_weight: [0.0; N_LANES],
            left_draws: [0.0; N_LANES],
        }
    }

    /// Turns to a node with these class weights; false where it has too many classes.
    pub fn begin(&mut self, class_weights: &[f64], node_weight: f64, node_draws: f64) -> bool {
        self.node.clear();
        for (local, &weight) in self.local_classes.iter_mut().zip(class_weights) {
            if weight > 0.0 {
                if self.node.len() == MAX_CLASSES {
                    return false;
                }
                *local = self.node.len() as u8;
                self.node.push(weight);
            }
        }
        self.left.resize(self.node.len(), [0.0; N_LANES]);
        (self.node_weight, self.node_draws) = (node_weight, node_draws);
        true
    }
}

impl ClassLanes<LaneClass> {
    pub fn item(&self, class: usize, draws: u32) -> LaneClass {
        LaneClass::new(self.local_classes[class], draws as u8)
    }
}

impl ClassLanes<LaneWeight> {
    pub fn item(&self, class: u32, weight: f64, draws: u32) -> LaneWeight {
        LaneWeight { weight, class: self.local_classes[class as usize], draws: draws as u8 }
    }
}

/// Sums over classes of squared weights on both sides.
struct Squares<V: Vector> {
    left: V::Doubles,
    right: V::Doubles,
}

impl<V: Vector> Squares<V> {
    #[inline(always)]
    fn none(vector: V) -> Self {
        Self { left: vector.splat(0.0), right: vector.splat(0.0) }
    }

    /// Adds a class of this weight on the left and in the node.
    #[inline(always)]
    fn add(&mut self, vector: V, left: V::Doubles, node: f64) {
        let right = vector.sub(vector.splat(node), left);
        self.left = vector.add(self.left, vector.mul(left, left));
        self.right = vector.add(self.right, vector.mul(right, right));
    }
}

impl<I: ClassItem> ClassLanes<I> {
    /// Moves weights to the left and scores the divisions: one quotient of whole numbers where there are no weights, so that equal
    /// divisions have equal scores to the last bit.
    #[inline(always)]
    fn score<V: Vector>(&mut self, vector: V, moved: V::Doubles, squares: Squares<V>) -> V::Doubles {
        let left = vector.add(vector.load(&self.left_weight), moved);
        vector.store(left, &mut self.left_weight);
        let right = vector.sub(vector.splat(self.node_weight), left);
        let divisor = vector.mul(left, right);
        let score = vector.div(vector.add(vector.mul(squares.left, right), vector.mul(squares.right, left)), divisor);
        // Weights of very different size can leave a side without weight though it has rows.
        vector.select(vector.gt(divisor, vector.splat(0.0)), score, vector.splat(f64::NEG_INFINITY))
    }
}

impl<I: ClassItem> LaneSums for ClassLanes<I> {
    type Item = I;
    type Cell = I::Cell;

    #[inline(always)]
    fn n_cells(&self) -> usize {
        self.node.len() + usize::from(I::HAS_DRAWS_CELL)
    }
    #[inline(always)]
    fn packed(item: I, position: usize) -> u32 {
        item.packed(position)
    }
    #[inline(always)]
    fn unpacked(packed: u32, items: &[I]) -> I {
        I::unpacked(packed, items)
    }
    #[inline(always)]
    fn add<V: Vector>(&self, vector: V, cells: &mut [I::Cell], codes: V::Codes, item: I, n_lanes: usize) {
        let n_cells = self.n_cells() as u32;
        let mut slots = [0; N_LANES];
        vector.store_words(vector.slots(codes, n_cells, item.class() as u32), &mut slots);
        slots[..n_lanes].iter().for_each(|&slot| item.add_to(&mut cells[slot as usize]));
        if I::HAS_DRAWS_CELL {
            vector.store_words(vector.slots(codes, n_cells, n_cells - 1), &mut slots);
            slots[..n_lanes].iter().for_each(|&slot| item.add_draws_to(&mut cells[slot as usize]));
        }
    }
    #[inline(always)]
    fn n_draws(cells: &[[I::Cell; N_LANES]], lane: usize) -> f64 {
        let counted = if I::HAS_DRAWS_CELL { &cells[cells.len() - 1..] } else { cells };
        counted.iter().map(|cell| cell[lane].into()).sum()
    }
    fn weight_of_cells(cells: &[[I::Cell; N_LANES]], lane: usize) -> f64 {
        let n_classes = cells.len() - usize::from(I::HAS_DRAWS_CELL);
        cells[..n_classes].iter().map(|cell| cell[lane].into()).sum()
    }
    fn weight_of(item: I) -> f64 {
        item.weight()
    }

    #[inline(always)]
    fn start(&mut self) {
        self.left.fill([0.0; N_LANES]);
        self.left_weight = [0.0; N_LANES];
        self.left_draws = [0.0; N_LANES];
    }
    #[inline(always)]
    fn move_rows<V: Vector>(&mut self, vector: V, words: V::Words, key: &[u32; N_LANES], items: &[I]) -> V::Doubles {
        let (classes, weights, draws) = I::of_key(vector, words, key, items);
        let mut squares = Squares::none(vector);
        for ((class, left), &node) in (0..).zip(&mut self.left).zip(&self.node) {
            let before = vector.load(left);
            let sum = vector.select(vector.is(classes, class), vector.add(before, weights), before);
            vector.store(sum, left);
            squares.add(vector, sum, node);
        }
        if I::HAS_DRAWS_CELL {
            add_to(vector, &mut self.left_draws, draws);
        }
        self.score(vector, weights, squares)
    }
    #[inline(always)]
    fn move_cells<V: Vector>(&mut self, vector: V, cells: &[[I::Cell; N_LANES]]) -> V::Doubles {
        let mut squares = Squares::none(vector);
        let mut weights = vector.splat(0.0);
        for ((left, cell), &node) in self.left.iter_mut().zip(cells).zip(&self.node) {
            let moved = I::load(vector, cell);
            let sum = vector.add(vector.load(left), moved);
            vector.store(sum, left);
            weights = vector.add(weights, moved);
            squares.add(vector, sum, node);
        }
        if I::HAS_DRAWS_CELL
            && let Some(cell) = cells.last()
        {
            add_to(vector, &mut self.left_draws, I::load(vector, cell));
        }
        self.score(vector, weights, squares)
    }
    #[inline(always)]
    fn have_draws<V: Vector>(&self, vector: V, min_draws: f64) -> V::Mask {
        let left = vector.load(if I::HAS_DRAWS_CELL { &self.left_draws } else { &self.left_weight });
        let right = vector.sub(vector.splat(self.node_draws), left);
        vector.and(vector.ge(left, vector.splat(min_draws)), vector.ge(right, vector.splat(min_draws)))
    }
}

#[inline(always)]
fn add_to<V: Vector>(vector: V, sums: &mut [f64; N_LANES], more: V::Doubles) {
    vector.store(vector.add(vector.load(sums), more), sums);
}
