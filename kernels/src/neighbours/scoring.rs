//! What a user's own items say of the others. It must not know how neighbours were found.

use super::similarity::{Rows, centred};

/// The neighbours of every item, the most similar first.
#[derive(Clone, Copy, Debug)]
pub struct Neighbourhoods<'a> {
    /// A row for each item: its neighbours and their similarities. Columns need not ascend.
    pub rows: Rows<'a>,
    /// The mean of each item's ratings, `[n_items]`; nothing where values are no ratings.
    pub means: Option<&'a [f32]>,
    /// How many items.
    pub n_items: usize,
}

/// How many of a user's items have a say.
#[derive(Clone, Copy, Debug)]
pub struct NeighbourSettings {
    /// The most that speak for one item: the most similar.
    pub max_neighbours: usize,
    /// An item that fewer speak for has no score.
    pub min_neighbours: usize,
}

/// Scores items by a user's own.
#[derive(Clone, Copy, Debug)]
pub struct NeighbourScorer<'a> {
    /// The model.
    pub model: Neighbourhoods<'a>,
    /// Its use.
    pub settings: NeighbourSettings,
}

/// The working memory of one thread: some bytes for each item, and for each neighbour of a user's items.
#[derive(Debug, Default)]
pub struct ScoreScratch {
    /// By item: how many of the user's items are its neighbours; zeros between two calls.
    counts: Vec<u32>,
    /// Items that any speaks for, in the order in which they were met.
    touched: Vec<u32>,
    /// Where each of `touched` has its voices.
    starts: Vec<u32>,
    voices: Vec<Voice>,
}

/// One of the user's items that speaks for another.
#[derive(Clone, Copy, Debug, Default)]
struct Voice {
    similarity: f32,
    own_item: u32,
    value: f64,
}

impl NeighbourScorer<'_> {
    /// Gives `emit` every item that enough of the user's own items are neighbours of, with its score; their own items too, if others
    /// of theirs speak for them. `items` ascend, `values` `[n]` are their ratings. Without means a score is the sum of similarities; with
    /// means it is the item's mean plus the mean of what the user's items got above theirs, weighted by similarity.
    pub fn score(&self, items: &[u32], values: &[f32], scratch: &mut ScoreScratch, mut emit: impl FnMut(u32, f32)) {
        self.gather(items, values, scratch);
        let ScoreScratch { counts, touched, starts, voices } = scratch;
        for (place, item) in touched.drain(..).enumerate() {
            counts[item as usize] = 0;
            let voices = &mut voices[starts[place] as usize..starts[place + 1] as usize];
            if voices.len() >= self.settings.min_neighbours.max(1) {
                emit(item, self.score_of(item, voices));
            }
        }
    }

    /// Lays the voices for each item side by side.
    fn gather(&self, items: &[u32], values: &[f32], scratch: &mut ScoreScratch) {
        let ScoreScratch { counts, touched, starts, voices } = scratch;
        counts.resize(self.model.n_items, 0);
        touched.clear();
        for &own in items {
            for &item in self.model.rows.row(own as usize).0 {
                let Some(count) = counts.get_mut(item as usize) else { continue };
                if *count == 0 {
                    touched.push(item);
                }
                *count += 1;
            }
        }
        starts.clear();
        let mut end = 0;
        for &item in &*touched {
            starts.push(end);
            // From here on, where the next voice for the item goes.
            end += std::mem::replace(&mut counts[item as usize], end);
        }
        starts.push(end);
        voices.clear();
        voices.resize(end as usize, Voice::default());
        for (place, &own) in items.iter().enumerate() {
            let value = values.get(place).copied().unwrap_or(1.0);
            let (neighbours, similarities) = self.model.rows.row(own as usize);
            let value = centred(value, own as usize, self.model.means);
            for (&item, &similarity) in neighbours.iter().zip(similarities) {
                let Some(next) = counts.get_mut(item as usize) else { continue };
                voices[*next as usize] = Voice { similarity, own_item: own, value };
                *next += 1;
            }
        }
    }

    fn score_of(&self, item: u32, voices: &mut [Voice]) -> f32 {
        let better = |a: &Voice, b: &Voice| b.similarity.total_cmp(&a.similarity).then(a.own_item.cmp(&b.own_item));
        let n = voices.len().min(self.settings.max_neighbours.max(1));
        if n < voices.len() {
            voices.select_nth_unstable_by(n - 1, better);
        }
        let voices = &mut voices[..n];
        voices.sort_unstable_by(better);
        let weight: f64 = voices.iter().map(|voice| f64::from(voice.similarity)).sum();
        match self.model.means.and_then(|means| means.get(item as usize)) {
            None => weight as f32,
            Some(&mean) => {
                let sum: f64 = voices.iter().map(|voice| f64::from(voice.similarity) * voice.value).sum();
                (f64::from(mean) + sum / weight) as f32
            }
        }
    }
}
