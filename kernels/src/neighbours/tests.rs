//! Against dense matrices by the definitions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::draws::Draws;

/// A dense matrix [n_users, n_items] in which NaN is no interaction, and its rows and columns.
struct Table {
    dense: Vec<Vec<f32>>,
    by_user: (Vec<u64>, Vec<u32>, Vec<f32>),
    by_item: (Vec<u64>, Vec<u32>, Vec<f32>),
}

fn sparse(rows: impl Iterator<Item = Vec<f32>>) -> (Vec<u64>, Vec<u32>, Vec<f32>) {
    let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
    for row in rows {
        for (column, value) in (0..).zip(row).filter(|(_, value)| !value.is_nan()) {
            indices.push(column);
            values.push(value);
        }
        indptr.push(indices.len() as u64);
    }
    (indptr, indices, values)
}

impl Table {
    fn new(seed: u64, n_users: usize, n_items: usize) -> Self {
        let mut draws = Draws::new(seed, 0, 0);
        let mut value = || if draws.below(3) == 0 { (1 + draws.below(5)) as f32 } else { f32::NAN };
        let dense: Vec<Vec<f32>> = (0..n_users).map(|_| (0..n_items).map(|_| value()).collect()).collect();
        let by_user = sparse(dense.iter().cloned());
        let by_item = sparse((0..n_items).map(|item| dense.iter().map(|row| row[item]).collect()));
        Self { dense, by_user, by_item }
    }

    fn column(&self, item: usize) -> Vec<f32> {
        self.dense.iter().map(|row| row[item]).collect()
    }

    fn n_items(&self) -> usize {
        self.dense[0].len()
    }

    fn means(&self) -> Vec<f32> {
        let mean = |item: usize| {
            let values: Vec<f32> = self.column(item).into_iter().filter(|value| !value.is_nan()).collect();
            if values.is_empty() { 0.0 } else { values.iter().sum::<f32>() / values.len() as f32 }
        };
        (0..self.n_items()).map(mean).collect()
    }
}

fn rows(table: &(Vec<u64>, Vec<u32>, Vec<f32>)) -> Rows<'_> {
    Rows { indptr: &table.0, indices: &table.1, values: &table.2 }
}

fn norms(table: &Table, means: Option<&[f32]>) -> Vec<f32> {
    (0..table.n_items()).map(|item| norm_of(rows(&table.by_item).row(item).1, means.map_or(0.0, |means| means[item]))).collect()
}

/// The neighbours by the definition, each pair by itself.
fn naive(table: &Table, item: usize, means: Option<&[f32]>, settings: &SimilaritySettings) -> Vec<(u32, f64)> {
    let value = |user: usize, item: usize| f64::from(table.dense[user][item]) - means.map_or(0.0, |means| f64::from(means[item]));
    let norm =
        |item: usize| (0..table.dense.len()).map(|user| value(user, item)).filter(|v| !v.is_nan()).map(|v| v * v).sum::<f64>().sqrt();
    let mut found = vec![];
    for other in (0..table.n_items()).filter(|&other| other != item) {
        let common: Vec<usize> =
            (0..table.dense.len()).filter(|&user| !value(user, item).is_nan() && !value(user, other).is_nan()).collect();
        let product: f64 = common.iter().map(|&user| value(user, item) * value(user, other)).sum();
        let similarity = product / (norm(item) * norm(other) + settings.shrinkage);
        if common.len() >= settings.min_common_users as usize && similarity > 1e-12 && similarity >= settings.min_similarity {
            found.push((other as u32, similarity));
        }
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(settings.n_neighbours);
    found
}

#[test]
fn neighbours_are_those_of_the_definition() {
    let table = Table::new(1, 60, 25);
    let means = table.means();
    let mut scratch = SimilarityScratch::default();
    for means in [None, Some(&means[..])] {
        let norms = norms(&table, means);
        let columns = ItemColumns { by_item: rows(&table.by_item), by_user: rows(&table.by_user), means, norms: &norms };
        for (n_neighbours, min_similarity, shrinkage, min_common_users) in [(25, 1e-9, 0.0, 1), (4, 0.05, 10.0, 2), (7, 1e-9, 3.0, 6)] {
            let settings = SimilaritySettings { n_neighbours, min_similarity, shrinkage, min_common_users };
            for item in 0..table.n_items() {
                let mut list = vec![];
                columns.neighbours(item, &settings, &mut scratch, &mut list);
                let expected = naive(&table, item, means, &settings);
                assert_eq!(list.len(), expected.len(), "item {item}");
                for (neighbour, (_, similarity)) in list.iter().zip(&expected) {
                    assert!((f64::from(neighbour.similarity) - similarity).abs() < 1e-6, "{list:?} {expected:?}");
                }
                assert!(list.is_sorted_by(|a, b| a.similarity > b.similarity || (a.similarity == b.similarity && a.item < b.item)));
            }
        }
    }
}

#[test]
fn scores_are_those_of_the_definition() {
    let table = Table::new(2, 40, 18);
    let means = table.means();
    for means in [None, Some(&means[..])] {
        let norms = norms(&table, means);
        let columns = ItemColumns { by_item: rows(&table.by_item), by_user: rows(&table.by_user), means, norms: &norms };
        let settings = SimilaritySettings { n_neighbours: 6, min_similarity: 1e-6, shrinkage: 1.0, min_common_users: 1 };
        let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
        let mut lists = vec![];
        for item in 0..table.n_items() {
            let mut list = vec![];
            columns.neighbours(item, &settings, &mut SimilarityScratch::default(), &mut list);
            indices.extend(list.iter().map(|neighbour| neighbour.item));
            values.extend(list.iter().map(|neighbour| neighbour.similarity));
            indptr.push(indices.len() as u64);
            lists.push(list);
        }
        let model = Neighbourhoods { rows: Rows { indptr: &indptr, indices: &indices, values: &values }, means, n_items: table.n_items() };
        let mut scratch = ScoreScratch::default();
        for (max_neighbours, min_neighbours) in [(100, 1), (3, 2), (1, 1)] {
            let scorer = NeighbourScorer { model, settings: NeighbourSettings { max_neighbours, min_neighbours } };
            for user in 0..table.dense.len() {
                let (own, own_values) = rows(&table.by_user).row(user);
                let mut found = vec![f32::NAN; table.n_items()];
                scorer.score(own, own_values, &mut scratch, |item, score| found[item as usize] = score);
                for (item, found) in found.iter().enumerate() {
                    let mut voices: Vec<(f64, f64)> = vec![];
                    for (&own, &value) in own.iter().zip(own_values) {
                        let similarity = lists[own as usize].iter().find(|neighbour| neighbour.item as usize == item);
                        let value = f64::from(value) - means.map_or(0.0, |means| f64::from(means[own as usize]));
                        voices.extend(similarity.map(|neighbour| (f64::from(neighbour.similarity), value)));
                    }
                    voices.sort_by(|a, b| b.0.total_cmp(&a.0));
                    let n = voices.len();
                    voices.truncate(max_neighbours);
                    let weight: f64 = voices.iter().map(|voice| voice.0).sum();
                    let of_ratings = means.map(|means| f64::from(means[item]) + voices.iter().map(|v| v.0 * v.1).sum::<f64>() / weight);
                    let expected = if n < min_neighbours.max(1) { f64::NAN } else { of_ratings.unwrap_or(weight) };
                    let agrees = (f64::from(*found) - expected).abs() < 1e-5 || (found.is_nan() && expected.is_nan());
                    assert!(agrees, "user {user}, item {item}: {found} for {expected}");
                }
            }
        }
    }
}
