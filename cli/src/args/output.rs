//! How a listing is printed. It must not know what is listed.

use clap::{Args, ValueEnum};

/// The flag that every listing has.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// How to print: as a table for people, as one JSON document, or as little as a script needs (numbers or bare lines): table, json or quiet.
    #[arg(long = "output", value_name = "FORMAT", value_enum, default_value_t = OutputFormat::Table, hide_possible_values = true)]
    pub format: OutputFormat,
}

/// The forms of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns with a header, for people.
    Table,
    /// One JSON document with everything that is known.
    Json,
    /// Only the numbers, one a line.
    Quiet,
}
