//! The best division of a node along one feature: a threshold, a set of levels, or a random one of either. This room must not
//! know how rows are stored nor what comes of the node.

use super::columns::BinnedColumn;
use super::criterion::{Measure, Sides};
use super::tally::Tally;
use crate::draws::Draws;

/// A division of a node's rows by one feature.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub feature: u32,
    pub score: f64,
    pub left_weight: f64,
    pub rule: Rule,
}

/// Which rows go to the left.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// Codes up to `last_left`, and missing ones if so said; `None` when the node has no missing value in this feature.
    Threshold { last_left: u16, missing_left: Option<bool> },
    /// The levels that occur in the node, ascending, each with whether it goes left; the missing code may be among them.
    Levels(Vec<(u16, bool)>),
}

/// What is the same for all features of a node.
pub(super) struct SplitLimits {
    /// Fewest draws on a side.
    pub min_draws: f64,
    /// Draws for one random division per feature, where that is wanted instead of the best.
    pub random: Option<Draws>,
}

/// The rows of a node by their bin in the feature: a filled tally and the contributions that it refers to.
pub(super) struct Groups<'a, M: Measure, I> {
    pub tally: &'a Tally<M>,
    pub item: I,
}

impl<M: Measure, I: Fn(usize) -> M::Item> Groups<'_, M, I> {
    fn bins(&self) -> &[u16] {
        self.tally.bins()
    }

    #[inline]
    fn move_to_left(&self, group: usize, sides: &mut M::Sides) {
        self.tally.move_group(group, &self.item, sides);
    }
}

/// Finds the division of a node along a feature; `None` when no division leaves enough draws on both sides.
pub(super) fn best_split<M: Measure, I: Fn(usize) -> M::Item>(
    measure: &M,
    feature: u32,
    column: &BinnedColumn<'_>,
    groups: &Groups<'_, M, I>,
    sides: &mut M::Sides,
    limits: &SplitLimits,
) -> Option<Split> {
    if groups.bins().len() < 2 {
        return None;
    }
    let mut search = Search::new(limits.min_draws);
    let random = limits.random.map(|draws| draws.child(u64::from(feature) + 2));
    let rule = match (column.is_categorical(), random) {
        (false, None) => best_threshold(column, groups, sides, &mut search),
        (false, Some(draws)) => random_threshold(column, groups, sides, &mut search, draws),
        (true, None) => best_levels(measure, groups, sides, &mut search),
        (true, Some(draws)) => random_levels(groups, sides, &mut search, draws),
    };
    let found = search.best;
    rule.map(|rule| Split { feature, score: found.score, left_weight: found.left_weight, rule })
}

/// The best of the divisions looked at so far. Of equal ones the first stays.
struct Search {
    /// Its score is below that of any division while there is none.
    best: Found,
    min_draws: f64,
}

#[derive(Clone, Copy)]
struct Found {
    score: f64,
    left_weight: f64,
    group: usize,
    missing_left: bool,
}

impl Search {
    fn new(min_draws: f64) -> Self {
        Self { best: Found { score: f64::NEG_INFINITY, left_weight: 0.0, group: 0, missing_left: false }, min_draws }
    }

    #[inline]
    fn consider<S: Sides>(&mut self, sides: &S, group: usize, missing_left: bool) {
        let n_left = sides.n_left_draws();
        if n_left < self.min_draws || sides.n_draws() - n_left < self.min_draws {
            return;
        }
        // False for a score that is not a number.
        if sides.score() > self.best.score {
            self.best = Found { score: sides.score(), left_weight: sides.left_weight(), group, missing_left };
        }
    }

    fn found(&self) -> Option<Found> {
        Some(self.best).filter(|best| best.score > f64::NEG_INFINITY)
    }
}

/// How many of the groups are values, and which is the missing one.
fn split_off_missing<M: Measure, I: Fn(usize) -> M::Item>(column: &BinnedColumn<'_>, groups: &Groups<'_, M, I>) -> (usize, Option<usize>) {
    let n_groups = groups.bins().len();
    let last_is_missing = groups.bins().last().is_some_and(|&bin| usize::from(bin) == column.n_value_bins());
    if last_is_missing { (n_groups - 1, Some(n_groups - 1)) } else { (n_groups, None) }
}

fn best_threshold<M: Measure, I: Fn(usize) -> M::Item>(
    column: &BinnedColumn<'_>,
    groups: &Groups<'_, M, I>,
    sides: &mut M::Sides,
    search: &mut Search,
) -> Option<Rule> {
    let (n_values, missing) = split_off_missing(column, groups);
    sides.start();
    for group in 0..n_values - 1 {
        groups.move_to_left(group, sides);
        search.consider(sides, group, false);
    }
    if let Some(missing) = missing {
        // All values against the missing ones, and then each threshold again with the missing ones on the left.
        groups.move_to_left(n_values - 1, sides);
        search.consider(sides, n_values - 1, false);
        sides.start();
        groups.move_to_left(missing, sides);
        for group in 0..n_values - 1 {
            groups.move_to_left(group, sides);
            search.consider(sides, group, true);
        }
    }
    let found = search.found()?;
    Some(threshold_rule(column, groups, found, n_values, missing.is_some()))
}

fn threshold_rule<M: Measure, I: Fn(usize) -> M::Item>(
    column: &BinnedColumn<'_>,
    groups: &Groups<'_, M, I>,
    found: Found,
    n_values: usize,
    has_missing: bool,
) -> Rule {
    let bin = |group: usize| usize::from(groups.bins()[group]);
    let next = Some(found.group + 1).filter(|&group| group < n_values).map(bin);
    let last_left = last_bin_left(bin(found.group), next, column.n_value_bins());
    Rule::Threshold { last_left, missing_left: has_missing.then_some(found.missing_left) }
}

/// The last bin that goes left: the middle, counted in bins, between the last that occurs on the left and the next that occurs. This
/// is where unseen values are most evenly divided, and it is the same for any monotone scaling of the feature. Without a next one all
/// values go left.
pub(super) fn last_bin_left(last: usize, next: Option<usize>, n_value_bins: usize) -> u16 {
    next.map_or(n_value_bins - 1, |next| last + (next - last - 1) / 2) as u16
}

/// A threshold drawn evenly among the ends of bins between the least and the greatest that occur, as bins are what a value's
/// distance can be measured in when there are infinities.
fn random_threshold<M: Measure, I: Fn(usize) -> M::Item>(
    column: &BinnedColumn<'_>,
    groups: &Groups<'_, M, I>,
    sides: &mut M::Sides,
    search: &mut Search,
    mut draws: Draws,
) -> Option<Rule> {
    let (n_values, missing) = split_off_missing(column, groups);
    let values = &groups.bins()[..n_values];
    let (first, last) = (*values.first()?, *values.last()?);
    let drawn = if first == last { (column.n_value_bins() - 1) as u16 } else { first + draws.below(u64::from(last - first)) as u16 };
    let n_left = values.partition_point(|&bin| bin <= drawn);
    sides.start();
    (0..n_left).for_each(|group| groups.move_to_left(group, sides));
    search.consider(sides, n_left, false);
    if let Some(missing) = missing
        && n_left < n_values
    {
        groups.move_to_left(missing, sides);
        search.consider(sides, n_left, true);
    }
    let found = search.found()?;
    Some(Rule::Threshold { last_left: drawn, missing_left: missing.map(|_| found.missing_left) })
}

/// Sorts the levels, a missing value being one of them, and divides them as if they were ordered.
fn best_levels<M: Measure, I: Fn(usize) -> M::Item>(
    measure: &M,
    groups: &Groups<'_, M, I>,
    sides: &mut M::Sides,
    search: &mut Search,
) -> Option<Rule> {
    let n_groups = groups.bins().len();
    let n_sums = measure.n_level_sums();
    let mut sums = vec![0.0; n_groups * n_sums];
    sums.chunks_exact_mut(n_sums).enumerate().for_each(|(group, sums)| groups.tally.add_group_to_level(group, &groups.item, sums));
    let mut keys = Vec::with_capacity(n_groups);
    measure.level_keys(&sums, &mut keys);
    let mut order: Vec<usize> = (0..n_groups).collect();
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    sides.start();
    for (position, &group) in order.iter().enumerate().take(n_groups - 1) {
        groups.move_to_left(group, sides);
        search.consider(sides, position, false);
    }
    let found = search.found()?;
    let mut levels: Vec<(u16, bool)> = order.iter().enumerate().map(|(at, &group)| (groups.bins()[group], at <= found.group)).collect();
    levels.sort_unstable();
    Some(Rule::Levels(levels))
}

/// Throws a coin for each level that occurs; when all fall alike, one of them, drawn, is turned over.
fn random_levels<M: Measure, I: Fn(usize) -> M::Item>(
    groups: &Groups<'_, M, I>,
    sides: &mut M::Sides,
    search: &mut Search,
    mut draws: Draws,
) -> Option<Rule> {
    let mut levels: Vec<(u16, bool)> = groups.bins().iter().map(|&bin| (bin, draws.below(2) == 0)).collect();
    if levels.iter().all(|level| level.1 == levels[0].1) {
        let turned = draws.below(levels.len() as u64) as usize;
        levels[turned].1 = !levels[turned].1;
    }
    sides.start();
    levels.iter().enumerate().filter(|(_, level)| level.1).for_each(|(group, _)| groups.move_to_left(group, sides));
    search.consider(sides, 0, false);
    search.found().map(|_| Rule::Levels(levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_lies_in_the_middle_of_the_bins_that_do_not_occur() {
        assert_eq!(last_bin_left(3, Some(4), 10), 3);
        assert_eq!(last_bin_left(3, Some(5), 10), 3);
        assert_eq!(last_bin_left(3, Some(8), 10), 5);
        assert_eq!(last_bin_left(3, None, 10), 9);
    }
}
