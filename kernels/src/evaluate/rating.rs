//! Errors of predicted ratings: RMSE and MAE of one user, and over all of them. This file must not know lists or ranks.

use super::exact_sum::ExactSum;
use super::truth::{LengthMismatch, Scratch, Truth};

/// How far the ratings that were predicted for a user are from the true ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RatingErrors {
    /// Predictions that were compared.
    pub n_compared: usize,
    /// Sum of the squared errors.
    pub sum_squared: f64,
    /// Sum of the magnitudes of the errors.
    pub sum_absolute: f64,
    /// Items that have a prediction and no true rating. They enter no error; LensKit refuses them unless told to ignore them.
    pub n_without_rating: usize,
    /// Items that have a true rating and no prediction (or NaN). They enter no error; LensKit refuses them unless told to ignore them.
    pub n_without_prediction: usize,
    /// Items of the truth that it had named before; the largest rating was taken.
    pub n_repeated_truth: usize,
}

impl RatingErrors {
    /// Compares predictions of one user, `scores` of `items`, with the true ratings. Sums run in the order of the predictions, in f64.
    /// An item that is predicted twice is compared twice. Nothing is allocated once `scratch` has grown.
    pub fn measure(items: &[u32], scores: &[f32], truth: Truth<'_>, scratch: &mut Scratch) -> Result<Self, LengthMismatch> {
        LengthMismatch::check(items, scores)?;
        let mut errors = Self { n_repeated_truth: scratch.load(truth), ..Self::default() };
        for (&item, &score) in items.iter().zip(scores).filter(|(_, score)| !score.is_nan()) {
            let rating = scratch.take(item).filter(|rating| !rating.is_nan());
            let Some(rating) = rating else {
                errors.n_without_rating += 1;
                continue;
            };
            let error = f64::from(score) - f64::from(rating);
            errors.n_compared += 1;
            errors.sum_squared += error * error;
            errors.sum_absolute += error.abs();
        }
        errors.n_without_prediction = scratch.n_rated_left();
        Ok(errors)
    }

    /// Root of the mean squared error; NaN if nothing was compared.
    pub fn rmse(&self) -> f64 {
        (self.sum_squared / self.n_compared as f64).sqrt()
    }

    /// Mean magnitude of the error; NaN if nothing was compared.
    pub fn mae(&self) -> f64 {
        self.sum_absolute / self.n_compared as f64
    }
}

/// Errors over users, in sums that do not depend on how the users were divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RatingErrorTotals {
    /// Users with at least one compared prediction.
    pub n_users: u64,
    /// Predictions that were compared.
    pub n_compared: u64,
    /// Items with a prediction and no true rating.
    pub n_without_rating: u64,
    /// Items with a true rating and no prediction.
    pub n_without_prediction: u64,
    /// Items of a truth that it had named before.
    pub n_repeated_truth: u64,
    /// Sum of the squared errors.
    pub sum_squared: ExactSum,
    /// Sum of the magnitudes of the errors.
    pub sum_absolute: ExactSum,
    /// Sum of the users' RMSE.
    pub sum_rmse: ExactSum,
    /// Sum of the users' MAE.
    pub sum_mae: ExactSum,
}

impl RatingErrorTotals {
    /// Adds a user.
    pub fn add(&mut self, errors: &RatingErrors) {
        self.n_compared += errors.n_compared as u64;
        self.n_without_rating += errors.n_without_rating as u64;
        self.n_without_prediction += errors.n_without_prediction as u64;
        self.n_repeated_truth += errors.n_repeated_truth as u64;
        if errors.n_compared > 0 {
            self.n_users += 1;
            self.sum_squared.add(errors.sum_squared);
            self.sum_absolute.add(errors.sum_absolute);
            self.sum_rmse.add(errors.rmse());
            self.sum_mae.add(errors.mae());
        }
    }

    /// Adds another part of the users.
    pub fn merge(&mut self, other: &Self) {
        self.n_users += other.n_users;
        self.n_compared += other.n_compared;
        self.n_without_rating += other.n_without_rating;
        self.n_without_prediction += other.n_without_prediction;
        self.n_repeated_truth += other.n_repeated_truth;
        self.sum_squared.merge(&other.sum_squared);
        self.sum_absolute.merge(&other.sum_absolute);
        self.sum_rmse.merge(&other.sum_rmse);
        self.sum_mae.merge(&other.sum_mae);
    }

    /// RMSE of all predictions together, LensKit's `global`; NaN if there is none.
    pub fn rmse(&self) -> f64 {
        (self.sum_squared.value() / self.n_compared as f64).sqrt()
    }

    /// MAE of all predictions together, LensKit's `global`; NaN if there is none.
    pub fn mae(&self) -> f64 {
        self.sum_absolute.value() / self.n_compared as f64
    }

    /// Mean of the users' RMSE, LensKit's `mean`; NaN if there is none.
    pub fn mean_rmse(&self) -> f64 {
        self.sum_rmse.value() / self.n_users as f64
    }

    /// Mean of the users' MAE, LensKit's `mean`; NaN if there is none.
    pub fn mean_mae(&self) -> f64 {
        self.sum_mae.value() / self.n_users as f64
    }
}
