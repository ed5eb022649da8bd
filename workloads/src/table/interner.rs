//! Text values as they come, each distinct one stored once, and in the end sorted, so that codes do not depend on row order.

use crate::table::column::{MISSING_CODE, TextColumn};
use std::collections::HashMap;

/// A text column in the making.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    code_of: HashMap<Box<str>, u32>,
    codes: Vec<u32>,
}

impl Interner {
    /// A column that begins with missing values.
    pub(crate) fn with_missing(n_rows: usize) -> Self {
        Self { codes: vec![MISSING_CODE; n_rows], ..Self::default() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, value: Option<&str>) {
        let code = value.map_or(MISSING_CODE, |value| self.code(value));
        self.codes.push(code);
    }

    /// Adds a row by a code that [`Self::code`] gave.
    pub(crate) fn push_code(&mut self, code: u32) {
        self.codes.push(code);
    }

    /// The code of a value for now; the final one is known when all are.
    pub(crate) fn code(&mut self, value: &str) -> u32 {
        if let Some(&code) = self.code_of.get(value) {
            return code;
        }
        // There are fewer distinct values than rows, and fewer rows than fit into memory at 4 bytes each.
        let code = u32::try_from(self.code_of.len()).unwrap_or(MISSING_CODE);
        self.code_of.insert(value.into(), code);
        code
    }

    /// The column with sorted levels.
    pub(crate) fn finish(self) -> TextColumn {
        let mut by_name: Vec<(Box<str>, u32)> = self.code_of.into_iter().collect();
        by_name.sort_unstable();
        let mut final_code = vec![MISSING_CODE; by_name.len()];
        for (place, (_, code)) in (0..).zip(&by_name) {
            if let Some(slot) = final_code.get_mut(*code as usize) {
                *slot = place;
            }
        }
        let codes = self.codes.into_iter().map(|code| final_code.get(code as usize).copied().unwrap_or(MISSING_CODE)).collect();
        TextColumn { codes, levels: by_name.into_iter().map(|(name, _)| name.into_string()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_sorted_levels() {
        let mut interner = Interner::with_missing(1);
        for value in [Some("b"), Some("a"), None, Some("b"), Some("")] {
            interner.push(value);
        }
        let column = interner.finish();
        assert_eq!(column.levels, ["", "a", "b"]);
        assert_eq!(column.codes, [MISSING_CODE, 2, 1, MISSING_CODE, 2, 0]);
    }
}
