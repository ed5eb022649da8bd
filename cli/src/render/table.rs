//! Columns of text as `squeue` prints them: no frame, a header, numbers to the right. It must not know what the columns mean.

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use std::borrow::Cow;

/// A table in the making.
#[derive(Debug)]
pub struct Columns {
    table: Table,
}

impl Columns {
    /// A table with these columns; `>` before a name sets its column to the right.
    #[must_use]
    pub fn new(headers: &[&str], has_colours: bool) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if has_colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(headers.iter().map(|name| name.trim_start_matches('>')));
        for (column, name) in table.column_iter_mut().zip(headers) {
            column.set_padding((0, 2));
            if name.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.table.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    /// The text, without spaces at the ends of lines.
    #[must_use]
    pub fn text(&self) -> String {
        self.table.trim_fmt()
    }
}

/// A cell of text that came from outside.
#[must_use]
pub fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(plain(text.as_ref()))
}

/// A cell in a colour, where the table has any.
#[must_use]
pub fn coloured(text: &str, colour: Option<Color>) -> Cell {
    match colour {
        Some(colour) => cell(text).fg(colour),
        None => cell(text),
    }
}

/// A text without characters that would move a terminal's cursor: names come from people and files.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let mut columns = Columns::new(&[">ID", "NAME", ">DONE"], false);
        columns.row([cell("1"), cell("forest"), cell("7")]);
        columns.row([cell("12"), cell("a\nb\u{1b}[31m"), cell("1,234")]);
        assert_eq!(columns.text(), "ID  NAME       DONE\n 1  forest        7\n12  a\u{fffd}b\u{fffd}[31m  1,234");
    }

    #[test]
    fn colours_are_there_only_when_wanted() {
        for has_colours in [false, true] {
            let mut columns = Columns::new(&["STATE"], has_colours);
            columns.row([coloured("failed", Some(Color::Red))]);
            assert_eq!(columns.text().contains('\u{1b}'), has_colours);
        }
    }
}
