//! The rows of a node as a list of numbers, and its division into two lists. This room must not know what the rows hold, nor why
//! one goes left.

/// A row's number within its frame: of the table, or of a compacted block.
pub(super) trait RowIdx: Copy + Default + Send + Sync {
    fn idx(self) -> usize;
}
impl RowIdx for u32 {
    fn idx(self) -> usize {
        self as usize
    }
}
impl RowIdx for u16 {
    fn idx(self) -> usize {
        usize::from(self)
    }
}

/// Room for the rows that go right while a list is divided in place.
pub(super) struct SpareRows<R> {
    rows: Vec<R>,
    max_rows: usize,
}

impl<R: RowIdx> SpareRows<R> {
    /// Never more than `max_rows`, so that the memory of a tree stays within its bound; longer lists are divided piece by piece.
    pub fn new(max_rows: usize) -> Self {
        Self { rows: Vec::new(), max_rows: max_rows.max(1) }
    }

    /// Puts the rows that go left first, keeping the order on both sides, and returns how many they are.
    pub fn partition(&mut self, rows: &mut [R], goes_left: impl Fn(R) -> bool + Copy) -> usize {
        let n_room = rows.len().min(self.max_rows);
        if self.rows.len() < n_room {
            // The old room is given back first, and none is kept in reserve.
            self.rows = Vec::new();
            self.rows.resize(n_room, R::default());
        }
        if rows.len() <= self.max_rows {
            return self.partition_whole(rows, goes_left);
        }
        let middle = rows.len() / 2;
        let n_left_of_first = self.partition(&mut rows[..middle], goes_left);
        let n_left_of_second = self.partition(&mut rows[middle..], goes_left);
        rows[n_left_of_first..middle + n_left_of_second].rotate_left(middle - n_left_of_first);
        n_left_of_first + n_left_of_second
    }

    /// Without a branch on the side, which is as good as random.
    fn partition_whole(&mut self, rows: &mut [R], goes_left: impl Fn(R) -> bool) -> usize {
        let (mut n_left, mut n_right) = (0, 0);
        for position in 0..rows.len() {
            let row = rows[position];
            let left = goes_left(row);
            rows[n_left] = row;
            self.rows[n_right] = row;
            n_left += usize::from(left);
            n_right += usize::from(!left);
        }
        rows[n_left..].copy_from_slice(&self.rows[..n_right]);
        n_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_gives_the_same_division() {
        let rows: Vec<u32> = (0..1000).map(|i| i * 37 % 1001).collect();
        let goes_left = |row: u32| row.is_multiple_of(3);
        let expected: Vec<u32> =
            rows.iter().copied().filter(|&row| goes_left(row)).chain(rows.iter().copied().filter(|&row| !goes_left(row))).collect();
        for max_rows in [1, 7, 100, 1000] {
            let mut divided = rows.clone();
            let n_left = SpareRows::new(max_rows).partition(&mut divided, goes_left);
            assert_eq!((divided, n_left), (expected.clone(), rows.iter().filter(|&&row| goes_left(row)).count()));
        }
    }
}
