//! Tables in and out: Parquet, CSV, Arrow IPC and `.npy` files as columns, whole or block by block.
//! This room knows files, types and rows. It must not know what a column is used for.
//!
//! A table is one file or several of one schema, rows in file order. [`TableSource::open`] reads headers only; then either whole
//! columns are read ([`TableSource::read_column`]), or blocks of rows against types that are given ([`TableSource::read_block`]).
//! Every format hands its rows on as Arrow arrays (`table_file::TableFile`), so that what a column means is decided in one place:
//! typed arrays in `typed`, the cells of a CSV in `cell`.

mod arrow_ipc;
mod arrow_ipc_layout;
mod block_index;
mod cell;
mod cell_type;
mod collect;
mod column;
mod copy;
mod csv;
mod csv_layout;
mod input_files;
mod interner;
mod npy;
mod parquet;
mod schema;
mod source;
mod table_file;
mod target;
mod typed;
mod write;
mod write_csv;
mod write_parquet;

pub(crate) use cell::{canonical_text, number_or_moment};
pub(crate) use cell_type::CellType;
pub(crate) use copy::copy_rows;

pub use block_index::{BlockIndex, ROWS_PER_BLOCK};
pub use column::{Column, Ids, MISSING_CODE, NumericColumn, NumericKind, TextColumn, UNSEEN_CODE};
pub use schema::{Field, LogicalType, Schema};
pub use source::TableSource;
pub use target::{BlockColumn, TargetColumn, TargetSchema, TargetType};
pub use write::{OutputColumn, OutputType, TableFormat, TableWriter};

#[cfg(test)]
mod tests;
