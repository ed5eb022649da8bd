//! What is over all users: means, how much of the catalogue lists reach, errors of predictions, and what a person is told of it. This
//! file must not know a table or a file.

use super::measuring::UserMeasures;
use paceline_common::failure::Failure;
use paceline_kernels::evaluate::{Column, Cutoff, ItemExposure, RatingErrorTotals, Totals};

/// One number over all users.
pub(super) struct Measure {
    /// Such as `ndcg@10`, `coverage@10`, `rmse`.
    pub(super) name: String,
    /// NaN where it is undefined.
    pub(super) value: f64,
    /// Users that it is taken over.
    pub(super) n_users: u64,
    /// Of a mean: the same where each list for which the metric is undefined counts 0.
    pub(super) with_undefined_as_0: Option<f64>,
}

impl Measure {
    /// As a person reads it.
    pub(super) fn fact(&self) -> (String, String) {
        let shown = if self.value.is_nan() { "undefined".to_owned() } else { format!("{:.6}", self.value) };
        (self.name.clone(), shown)
    }
}

/// Sums over users. They are exact, so it does not matter in which order users come.
pub(super) struct Overall {
    columns: Vec<Column>,
    /// What lists name within each cutoff; none where there are no lists.
    exposures: Vec<(Cutoff, ItemExposure)>,
    totals: Totals,
    errors: Option<RatingErrorTotals>,
    n_repeated_items: u64,
    n_repeated_truth: u64,
}

impl Overall {
    /// No user yet. `columns` are measured of lists, and none where there are no lists.
    pub(super) fn new(columns: &[Column], cutoffs: &[Cutoff], has_predictions: bool, n_items: usize) -> Self {
        let exposures = cutoffs.iter().filter(|_| !columns.is_empty()).map(|&cutoff| (cutoff, ItemExposure::new(n_items)));
        Self {
            columns: columns.to_vec(),
            exposures: exposures.collect(),
            totals: Totals::new(columns.len()),
            errors: has_predictions.then(RatingErrorTotals::default),
            n_repeated_items: 0,
            n_repeated_truth: 0,
        }
    }

    /// Adds a user, whose list is `list`.
    pub(super) fn add(&mut self, user: &UserMeasures<'_>, list: &[u32]) -> Result<(), Failure> {
        match user.row {
            Some(row) => self.totals.add(row, user.facts),
            None if user.facts.n_relevant > 0 => self.totals.add_truth_without_list(),
            None => {}
        }
        for (cutoff, exposure) in &mut self.exposures {
            let n_counting = match cutoff {
                Cutoff::At(n) => list.len().min(n.get() as usize),
                Cutoff::WholeList => list.len(),
            };
            exposure.add(&list[..n_counting]).map_err(|e| Failure::storage(format!("a gathered list is damaged: {e}")))?;
        }
        if let Some(errors) = &mut self.errors {
            errors.add(&user.errors);
        }
        self.n_repeated_items += user.n_repeated_items as u64;
        self.n_repeated_truth += user.facts.n_repeated_truth as u64;
        Ok(())
    }

    /// All measures, in the order of the columns of the users' table, then what is of the catalogue, then errors of predictions.
    pub(super) fn measures(&self, in_catalog: Option<&[u8]>) -> Vec<Measure> {
        let Totals { n_lists, .. } = self.totals;
        let mut measures: Vec<Measure> = (self.columns.iter().zip(&self.totals.columns))
            .map(|(column, total)| Measure {
                name: column.to_string(),
                value: total.mean(),
                n_users: total.n_defined,
                with_undefined_as_0: Some(total.mean_with_undefined_as_0(n_lists)),
            })
            .collect();
        let plain = |name: String, value: f64, n_users: u64| Measure { name, value, n_users, with_undefined_as_0: None };
        for (cutoff, exposure) in &self.exposures {
            let of_catalog = of_catalog(exposure, in_catalog);
            let (n_items, n_covered) = (of_catalog.counts().len(), of_catalog.counts().iter().filter(|&&count| count > 0).count());
            measures.push(plain(at("coverage", *cutoff), n_covered as f64 / n_items as f64, n_lists));
            measures.push(plain(at("gini", *cutoff), of_catalog.gini(), n_lists));
        }
        if let Some(errors) = &self.errors {
            let all = [("rmse", errors.rmse()), ("mae", errors.mae()), ("user_rmse", errors.mean_rmse()), ("user_mae", errors.mean_mae())];
            measures.extend(all.map(|(name, value)| plain(name.to_owned(), value, errors.n_users)));
        }
        measures
    }

    /// How many there were of what was measured.
    pub(super) fn counts(&self, n_users: u64) -> Vec<(String, String)> {
        let mut counts = vec![("users".to_owned(), n_users)];
        if !self.columns.is_empty() {
            counts.push(("lists".to_owned(), self.totals.n_lists));
        }
        if let Some(errors) = &self.errors {
            counts.push(("predictions compared".to_owned(), errors.n_compared));
        }
        counts.into_iter().map(|(name, n)| (name, n.to_string())).collect()
    }

    /// What a person must know of what did not count as it stands; `left_out` tells of rows.
    pub(super) fn notices(&self, left_out: &[(String, u64)]) -> Vec<(String, String)> {
        let Totals { n_truths_without_list, n_empty_lists, n_lists_without_truth, .. } = self.totals;
        let has_lists = !self.columns.is_empty();
        let of_lists = [
            ("users with a truth and no list, in no mean", n_truths_without_list),
            ("users with a truth and no list, taken for empty lists", n_empty_lists),
            ("lists of users without a truth", n_lists_without_truth),
            ("items that a list names again", self.n_repeated_items),
        ];
        let of_truth = [("items that a truth names again", self.n_repeated_truth)];
        let of_errors = self.errors.iter().flat_map(|errors| {
            [("items predicted and not rated", errors.n_without_rating), ("items rated and not predicted", errors.n_without_prediction)]
        });
        let counted = of_lists.into_iter().filter(|_| has_lists).chain(of_truth).chain(of_errors);
        let counted = counted.map(|(what, n)| (what.to_owned(), n));
        counted.chain(left_out.iter().cloned()).filter(|(_, n)| *n > 0).map(|(what, n)| (what, n.to_string())).collect()
    }
}

/// The counts of the items that could have been recommended.
fn of_catalog(exposure: &ItemExposure, in_catalog: Option<&[u8]>) -> ItemExposure {
    match in_catalog {
        None => exposure.clone(),
        Some(flags) => {
            let counts = exposure.counts().iter().zip(flags).filter(|(_, flag)| **flag == 1).map(|(&count, _)| count);
            ItemExposure::from_counts(counts.collect())
        }
    }
}

fn at(name: &str, cutoff: Cutoff) -> String {
    match cutoff {
        Cutoff::At(n) => format!("{name}@{n}"),
        Cutoff::WholeList => name.to_owned(),
    }
}
