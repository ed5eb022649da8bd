//! Tables of interactions: who took what, and where it is said with what value and when. Read row by row, or numbered and laid out
//! as compressed sparse rows that later stages map. This room must not know what is learnt from them.

mod joint_numbering;
mod numbering;
mod rows;
mod source;
mod stage;

pub(crate) use joint_numbering::{IdColumn, number_together};
pub(crate) use numbering::{IdList, Numbered};
pub(crate) use rows::Repeated;
pub(crate) use source::{ColumnNames, InteractionRows, InteractionSource, pick_column};
pub(crate) use stage::{CsrView, InteractionIds, Interactions, InteractionsTask};
