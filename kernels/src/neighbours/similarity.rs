//! The items most similar to one. It must not know how neighbours are used.

/// Compressed sparse rows: the entries of row r are `indptr[r]..indptr[r + 1]`, columns ascending.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows<'a> {
    /// [n_rows + 1].
    pub indptr: &'a [u64],
    /// Columns.
    pub indices: &'a [u32],
    /// Values.
    pub values: &'a [f32],
}

impl<'a> Rows<'a> {
    /// The columns and values of a row; none of one that does not exist.
    #[inline]
    #[must_use]
    pub fn row(&self, row: usize) -> (&'a [u32], &'a [f32]) {
        let range = || {
            let range = *self.indptr.get(row)? as usize..*self.indptr.get(row + 1)? as usize;
            Some((self.indices.get(range.clone())?, self.values.get(range)?))
        };
        range().unwrap_or_default()
    }
}

/// The interactions by item and by user, with what similarity needs of every item.
#[derive(Clone, Copy, Debug)]
pub struct ItemColumns<'a> {
    /// A row for each item: its users.
    pub by_item: Rows<'a>,
    /// A row for each user: their items.
    pub by_user: Rows<'a>,
    /// What is taken off an item's values, `[n_items]`; nothing where values are no ratings.
    pub means: Option<&'a [f32]>,
    /// The Euclidean norm of each item's values less its mean, `[n_items]`.
    pub norms: &'a [f32],
}

/// A value less its item's mean.
#[inline]
#[must_use]
pub fn centred(value: f32, item: usize, means: Option<&[f32]>) -> f64 {
    f64::from(value) - means.and_then(|means| means.get(item)).map_or(0.0, |&mean| f64::from(mean))
}

/// The Euclidean norm of an item's values less `mean`.
#[must_use]
pub fn norm_of(values: &[f32], mean: f32) -> f32 {
    let square = |&value: &f32| (f64::from(value) - f64::from(mean)).powi(2);
    values.iter().map(square).sum::<f64>().sqrt() as f32
}

/// Which neighbours are kept.
#[derive(Clone, Copy, Debug)]
pub struct SimilaritySettings {
    /// The most of an item, the most similar first.
    pub n_neighbours: usize,
    /// Those less similar are none. Similarities of 0 or below never are.
    pub min_similarity: f64,
    /// Added to the product of the norms.
    pub shrinkage: f64,
    /// Users that two items must have in common.
    pub min_common_users: u32,
}

/// An item and how similar it is to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its index.
    pub item: u32,
    /// More than 0.
    pub similarity: f32,
}

/// The working memory of one thread: 16 bytes for each item.
#[derive(Debug, Default)]
pub struct SimilarityScratch {
    /// By item; zeros between two calls.
    products: Vec<f64>,
    n_common: Vec<u32>,
    /// Items with a user in common.
    touched: Vec<u32>,
}

impl ItemColumns<'_> {
    /// The neighbours of `item`, the most similar first, ties to the lower item.
    pub fn neighbours(&self, item: usize, settings: &SimilaritySettings, scratch: &mut SimilarityScratch, list: &mut Vec<Neighbour>) {
        list.clear();
        let SimilarityScratch { products, n_common, touched } = scratch;
        products.resize(self.norms.len(), 0.0);
        n_common.resize(self.norms.len(), 0);
        let (users, values) = self.by_item.row(item);
        for (&user, &value) in users.iter().zip(values) {
            let value = centred(value, item, self.means);
            let (items, values) = self.by_user.row(user as usize);
            for (&other, &other_value) in items.iter().zip(values) {
                let Some((product, n)) = products.get_mut(other as usize).zip(n_common.get_mut(other as usize)) else { continue };
                *product += value * centred(other_value, other as usize, self.means);
                if *n == 0 {
                    touched.push(other);
                }
                *n += 1;
            }
        }
        for other in touched.drain(..) {
            let (product, n) = (std::mem::take(&mut products[other as usize]), std::mem::take(&mut n_common[other as usize]));
            let norms = f64::from(self.norms[item]) * f64::from(self.norms[other as usize]) + settings.shrinkage;
            let similarity = product / norms;
            if other as usize != item && n >= settings.min_common_users && similarity > 0.0 && similarity >= settings.min_similarity {
                list.push(Neighbour { item: other, similarity: similarity as f32 });
            }
        }
        let better = |a: &Neighbour, b: &Neighbour| b.similarity.total_cmp(&a.similarity).then(a.item.cmp(&b.item));
        if list.len() > settings.n_neighbours && settings.n_neighbours > 0 {
            list.select_nth_unstable_by(settings.n_neighbours - 1, better);
            list.truncate(settings.n_neighbours);
        }
        list.sort_unstable_by(better);
        // Too small for single precision.
        list.retain(|neighbour| neighbour.similarity > 0.0);
    }
}
