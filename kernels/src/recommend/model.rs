//! What the kernels work on: a factor model, the items that users have seen, and the definition of a score.

use thiserror::Error;

/// Factors and biases of users and items, row by row, usually slices of a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct FactorModel<'a> {
    pub(super) user_factors: &'a [f32],
    pub(super) item_factors: &'a [f32],
    pub(super) n_factors: usize,
    pub(super) user_bias: Option<&'a [f32]>,
    pub(super) item_bias: Option<&'a [f32]>,
}

/// Arrays whose lengths do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ShapeError(String);

impl<'a> FactorModel<'a> {
    /// A model of `user_factors` [n_users, n_factors], `item_factors` [n_items, n_factors] and, where given, `user_bias`
    /// `[n_users]` and `item_bias` `[n_items]`. Refused: no factors, lengths that do not fit, 2^32 - 1 or more users or items.
    pub fn new(
        user_factors: &'a [f32],
        item_factors: &'a [f32],
        n_factors: usize,
        user_bias: Option<&'a [f32]>,
        item_bias: Option<&'a [f32]>,
    ) -> Result<Self, ShapeError> {
        let model = Self { user_factors, item_factors, n_factors, user_bias, item_bias };
        if n_factors == 0 {
            return Err(ShapeError("the factors have no columns".to_owned()));
        }
        for (name, factors, bias) in [("user", user_factors, user_bias), ("item", item_factors, item_bias)] {
            let n_rows = factors.len() / n_factors;
            if factors.len() % n_factors != 0 {
                return Err(ShapeError(format!("{name}_factors has {} elements, which is no multiple of {n_factors}", factors.len())));
            }
            if n_rows >= u32::MAX as usize {
                return Err(ShapeError(format!("{name}_factors has {n_rows} rows, and at most {} can be numbered", u32::MAX - 1)));
            }
            if let Some(bias) = bias.filter(|bias| bias.len() != n_rows) {
                return Err(ShapeError(format!("{name}_bias has {} elements where {name}_factors has {n_rows} rows", bias.len())));
            }
        }
        Ok(model)
    }

    /// How many users.
    #[must_use]
    pub fn n_users(&self) -> usize {
        self.user_factors.len() / self.n_factors
    }

    /// How many items.
    #[must_use]
    pub fn n_items(&self) -> usize {
        self.item_factors.len() / self.n_factors
    }

    /// How many factors a user or item has.
    #[must_use]
    pub fn n_factors(&self) -> usize {
        self.n_factors
    }

    /// The users' factors, row by row.
    #[must_use]
    pub fn user_factors(&self) -> &'a [f32] {
        self.user_factors
    }

    /// The items' factors, row by row.
    #[must_use]
    pub fn item_factors(&self) -> &'a [f32] {
        self.item_factors
    }

    /// The users' biases.
    #[must_use]
    pub fn user_biases(&self) -> Option<&'a [f32]> {
        self.user_bias
    }

    /// The items' biases.
    #[must_use]
    pub fn item_biases(&self) -> Option<&'a [f32]> {
        self.item_bias
    }

    pub(super) fn user(&self, user: usize) -> &'a [f32] {
        &self.user_factors[user * self.n_factors..][..self.n_factors]
    }

    pub(super) fn item(&self, item: usize) -> &'a [f32] {
        &self.item_factors[item * self.n_factors..][..self.n_factors]
    }

    pub(super) fn user_bias(&self, user: usize) -> f32 {
        self.user_bias.map_or(0.0, |bias| bias[user])
    }

    pub(super) fn item_bias(&self, item: usize) -> f32 {
        self.item_bias.map_or(0.0, |bias| bias[item])
    }
}

/// The score of one user and item, which defines what every faster way must give to the last bit.
#[must_use]
pub fn score(user: &[f32], item: &[f32], user_bias: f32, item_bias: f32) -> f32 {
    user.iter().zip(item).fold(user_bias + item_bias, |sum, (&u, &i)| u.mul_add(i, sum))
}

/// How large the rows of a factor matrix and its biases get; decides whether a score can overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowBounds {
    /// The largest Euclidean norm of a row.
    pub max_norm: f64,
    /// The largest magnitude of a bias.
    pub max_abs_bias: f64,
}

impl RowBounds {
    /// The bounds of both row sets together.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { max_norm: self.max_norm.max(other.max_norm), max_abs_bias: self.max_abs_bias.max(other.max_abs_bias) }
    }
}

/// A row that holds NaN or an infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonFiniteRow {
    /// Which row, counted from the first given.
    pub row: usize,
    /// Whether it is its bias that is not finite, and not one of its factors.
    pub is_bias: bool,
}

/// Looks at all rows of `factors` [n_rows, n_factors] and their `bias`; refuses the first that is not finite.
pub fn row_bounds(factors: &[f32], n_factors: usize, bias: Option<&[f32]>) -> Result<RowBounds, NonFiniteRow> {
    let mut bounds = RowBounds::default();
    for (row, values) in factors.chunks_exact(n_factors).enumerate() {
        let norm = norm(values);
        // A square of an f32 does not overflow an f64: a norm is finite exactly where all of its row is.
        if !norm.is_finite() {
            return Err(NonFiniteRow { row, is_bias: false });
        }
        bounds.max_norm = bounds.max_norm.max(norm);
    }
    for (row, &value) in bias.unwrap_or_default().iter().enumerate() {
        if !value.is_finite() {
            return Err(NonFiniteRow { row, is_bias: true });
        }
        bounds.max_abs_bias = bounds.max_abs_bias.max(f64::from(value.abs()));
    }
    Ok(bounds)
}

/// The Euclidean norm; eight running sums let the compiler use vectors.
pub(super) fn norm(values: &[f32]) -> f64 {
    const N_SUMS: usize = 8;
    let (chunks, rest) = values.as_chunks::<N_SUMS>();
    let mut sums = [0.0_f64; N_SUMS];
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    let tail: f64 = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    (sums.iter().sum::<f64>() + tail).sqrt()
}

/// Which items each user has seen, as compressed sparse rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeenItems<'a> {
    pub(super) indptr: &'a [u64],
    pub(super) indices: &'a [u32],
}

/// Compressed sparse rows that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CsrError {
    /// The row pointers are not one more than the users, do not begin with 0 or do not end with the number of indices.
    #[error("the row pointers do not span {n_users} users and {n_indices} indices from 0 on")]
    Pointers {
        /// How many users there are.
        n_users: usize,
        /// How many indices there are.
        n_indices: usize,
    },
    /// A row ends before it begins.
    #[error("the row pointers fall at user {user}")]
    Falling {
        /// Whose row.
        user: usize,
    },
    /// An index names no item.
    #[error("user {user} has seen item {item}, and there are only {n_items} items")]
    OutOfRange {
        /// Whose row.
        user: usize,
        /// The index.
        item: u32,
        /// How many items there are.
        n_items: usize,
    },
    /// A row is not strictly ascending.
    #[error("the items of user {user} are not in strictly ascending order")]
    Unsorted {
        /// Whose row.
        user: usize,
    },
}

impl<'a> SeenItems<'a> {
    /// Rows `indices[indptr[u]..indptr[u + 1]]`, each strictly ascending and below `n_items`; checked here in one pass.
    pub fn checked(indptr: &'a [u64], indices: &'a [u32], n_users: usize, n_items: usize) -> Result<Self, CsrError> {
        let spans = indptr.len() == n_users + 1 && indptr.first() == Some(&0) && indptr.last() == Some(&(indices.len() as u64));
        if !spans {
            return Err(CsrError::Pointers { n_users, n_indices: indices.len() });
        }
        for (user, ends) in indptr.windows(2).enumerate() {
            let row = (ends[0] <= ends[1]).then(|| indices.get(ends[0] as usize..ends[1] as usize)).flatten();
            let row = row.ok_or(CsrError::Falling { user })?;
            if let Some(&item) = row.iter().find(|&&item| item as usize >= n_items) {
                return Err(CsrError::OutOfRange { user, item, n_items });
            }
            if !row.is_sorted_by(|a, b| a < b) {
                return Err(CsrError::Unsorted { user });
            }
        }
        Ok(Self { indptr, indices })
    }

    /// Rows that [`Self::checked`] has accepted before, perhaps on another node. Rows that it would refuse make lists wrong,
    /// nothing worse.
    #[must_use]
    pub fn trusted(indptr: &'a [u64], indices: &'a [u32]) -> Self {
        Self { indptr, indices }
    }

    /// What `user` has seen; nothing for a user without a row.
    #[must_use]
    pub fn of(&self, user: usize) -> &'a [u32] {
        let row = || self.indices.get(*self.indptr.get(user)? as usize..*self.indptr.get(user + 1)? as usize);
        row().unwrap_or_default()
    }
}
