//! The stages that make factors and biases: each item is one block of rows, whatever came before lies in parts that are mapped. It must
//! not know in which order stages follow one another.

use super::factors::{Blocks, SideParts, SolvedBlock};
use super::settings::AlsSettings;
use crate::interactions::Interactions;
use crate::working_memory::WorkingMemory;
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::als::{self, BiasModel, Block, BlockLoss, FactorRows, Gram, Scratch, Solver, draw_factors};
use paceline_kernels::recommend::InstructionSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The draws of initial factors.
const INITIAL_FACTORS: u64 = 20;

/// Whose rows are solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Users,
    Items,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Users => Self::Items,
            Self::Items => Self::Users,
        }
    }

    /// The name of its factors in a model.
    pub(super) fn array(self) -> &'static str {
        match self {
            Self::Users => "user_factors",
            Self::Items => "item_factors",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Users => "user",
            Self::Items => "item",
        }
    }

    /// The blocks of its rows.
    pub(super) fn blocks(self, interactions: &Interactions<'_>, n_factors: u32) -> Blocks {
        let n_rows = match self {
            Self::Users => interactions.facts.n_users,
            Self::Items => interactions.facts.n_items,
        };
        Blocks::new(n_rows, n_factors as usize)
    }

    /// The interactions, a row for each of its own.
    fn rows<'a>(self, interactions: &Interactions<'a>) -> als::Interactions<'a> {
        match self {
            Self::Users => interactions.by_user.feedback(),
            Self::Items => interactions.by_item.feedback(),
        }
    }
}

/// Factors of a side: those of a stage, or of an earlier model.
pub(super) enum SideFactors {
    Parts(SideParts),
    Model { artifact: Arc<Artifact>, side: Side, blocks: Blocks },
}

impl SideFactors {
    fn block(&self, block: u64) -> Result<&[f32], Failure> {
        match self {
            Self::Parts(parts) => parts.factors_of(block),
            Self::Model { artifact, side, blocks } => {
                let (factors, n_rows, n_factors) = artifact.matrix::<f32>(side.array())?;
                let rows = blocks.rows(block);
                let has_shape = (n_rows, n_factors) == (blocks.n_rows, blocks.n_factors);
                let elements = has_shape.then(|| factors.get(rows.start * n_factors..rows.end * n_factors)).flatten();
                let elements = elements.ok_or_else(|| {
                    let (name, Blocks { n_rows, n_factors, .. }) = (side.array(), *blocks);
                    artifact.refuse(&format!(
                        "array {name} has not the shape [{n_rows}, {n_factors}] of this table and --factors; train anew without --resume"
                    ))
                })?;
                match elements.iter().position(|value| !value.is_finite()) {
                    None => Ok(elements),
                    Some(place) => {
                        let (name, row) = (side.array(), rows.start + place / n_factors);
                        Err(artifact.refuse(&format!("array {name} has NaN or an infinity in row {row}; train anew without --resume")))
                    }
                }
            }
        }
    }
}

/// The stage of initial factors: drawn, or those of an earlier model.
pub(super) struct StartTask {
    pub(super) blocks: Blocks,
    pub(super) seed: u64,
    pub(super) earlier: Option<SideFactors>,
    pub(super) needs_gram: bool,
}

impl StageTask for StartTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            let bytes = self.block(item).map_err(|failure| ItemFailure { item, failure })?;
            outputs.push_owned(bytes);
        }
        Ok(())
    }
}

impl StartTask {
    fn block(&self, block: u64) -> Result<Vec<u8>, Failure> {
        let (rows, n_factors) = (self.blocks.rows(block), self.blocks.n_factors);
        let factors = match &self.earlier {
            Some(earlier) => earlier.block(block)?.to_vec(),
            None => {
                let mut factors = vec![0.0; rows.len() * n_factors];
                draw_factors(self.seed, INITIAL_FACTORS, rows.start as u64..rows.end as u64, n_factors, &mut factors);
                factors
            }
        };
        let gram = self.needs_gram.then(|| Gram::of_block(&factors, n_factors, InstructionSet::fastest()));
        Ok(SolvedBlock { factors, gram, loss: BlockLoss::default() }.encode())
    }
}

/// The stage of the biases of one side.
pub(super) struct BiasTask {
    pub(super) interactions: StageParts,
    pub(super) side: Side,
    /// Those of the items, where the users' are wanted.
    pub(super) item_bias: Option<SideParts>,
    pub(super) model: BiasModel,
    pub(super) blocks: Blocks,
}

impl StageTask for BiasTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            let bytes = self.block(item).map_err(|failure| ItemFailure { item, failure })?;
            outputs.push_owned(bytes);
        }
        Ok(())
    }
}

impl BiasTask {
    fn block(&self, block: u64) -> Result<Vec<u8>, Failure> {
        let interactions = self.side.rows(&Interactions::of(&self.interactions)?);
        let rows = self.blocks.rows(block);
        let mut factors = vec![0.0; rows.len()];
        match &self.item_bias {
            None => self.model.item_bias(rows, interactions, &mut factors),
            Some(item_bias) => self.model.user_bias(rows, interactions, &item_bias.factors()?, &mut factors),
        }
        Ok(SolvedBlock { factors, gram: None, loss: BlockLoss::default() }.encode())
    }
}

/// The biases of both sides, of a model of ratings.
pub(super) struct Biases {
    pub(super) users: SideParts,
    pub(super) items: SideParts,
}

impl Biases {
    fn of(&self, side: Side) -> Result<FactorRows<'_>, Failure> {
        match side {
            Side::Users => self.users.factors(),
            Side::Items => self.items.factors(),
        }
    }
}

/// Half an iteration: the factors of one side, given those of the other.
pub(super) struct HalfTask {
    pub(super) settings: AlsSettings,
    pub(super) interactions: StageParts,
    pub(super) side: Side,
    pub(super) blocks: Blocks,
    pub(super) other: SideParts,
    /// The Gram matrix of the other side, of implicit feedback.
    pub(super) gram: Option<Gram>,
    /// Of ratings.
    pub(super) biases: Option<Biases>,
    /// The factors of this side before.
    pub(super) previous: Option<SideFactors>,
    /// What the iteration before came to, where this one begins.
    pub(super) news: Option<String>,
    pub(super) scratches: WorkingMemory<Scratch>,
}

impl StageTask for HalfTask {
    fn news(&self) -> Option<String> {
        self.news.clone()
    }

    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        self.scratches.lend(|scratch| {
            (block.start..block.end).try_for_each(|item| {
                let bytes = self.block(item, scratch).map_err(|failure| ItemFailure { item, failure })?;
                outputs.push_owned(bytes);
                Ok(())
            })
        })
    }
}

impl HalfTask {
    fn block(&self, block: u64, scratch: &mut Scratch) -> Result<Vec<u8>, Failure> {
        let interactions = self.side.rows(&Interactions::of(&self.interactions)?);
        let (rows, n_factors) = (self.blocks.rows(block), self.blocks.n_factors);
        let previous = self.previous.as_ref().map(|previous| previous.block(block)).transpose()?;
        let mut factors = vec![0.0; rows.len() * n_factors];
        // Both sides have changed when the items are done: this is when the loss of an iteration is known.
        let block = Block { rows, interactions, previous, wants_error: self.side == Side::Items };
        let loss = self.solver()?.solve(&block, &mut factors, scratch).map_err(|e| self.refuse_row(e.row))?;
        let gram = self.gram.is_some().then(|| Gram::of_block(&factors, n_factors, InstructionSet::fastest()));
        Ok(SolvedBlock { factors, gram, loss }.encode())
    }

    fn refuse_row(&self, row: usize) -> Failure {
        let table = self.settings.data.first().map_or(Path::new(""), PathBuf::as_path).display();
        let what = self.side.noun();
        match Interactions::of(&self.interactions).and_then(|all| all.shown_id(self.side == Side::Users, row)) {
            Ok(id) => Failure::bad_input(format!(
                "{table}: the factors of {what} {id} are not determined, or too large for a float32; raise --regularization, or scale the \
                 values down"
            )),
            Err(failure) => failure,
        }
    }

    fn solver(&self) -> Result<Solver<'_>, Failure> {
        let (settings, set) = (&self.settings, InstructionSet::fastest());
        let other = self.other.factors()?;
        let solver = match (&self.gram, &self.biases) {
            (Some(gram), _) => Solver::implicit(other, gram, settings.alpha, settings.regularization, settings.method(), set),
            (None, Some(biases)) => {
                let (row_bias, other_bias) = (biases.of(self.side)?, biases.of(self.side.other())?);
                Solver::explicit(other, row_bias, other_bias, settings.regularization, settings.method(), set)
            }
            (None, None) => return Err(Failure::storage("half an iteration needs a Gram matrix or biases, and has neither")),
        };
        solver.map_err(|e| Failure::bad_input(e.to_string()))
    }
}
