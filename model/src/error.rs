//! What can be wrong with numbers that come from outside: lengths, shapes, values, labels.
//! Files have their own errors in `checkpoint`, calibration its own in `calibration`.

use thiserror::Error;

/// Why training or scoring refused its input, or could not go on.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The flat parameters do not have the length of the layout.
    #[error("{found} parameters given, the layout has {expected}")]
    ParametersLength {
        /// Length given.
        found: usize,
        /// Length of the layout.
        expected: usize,
    },
    /// A parameter is NaN or infinite.
    #[error("parameter {index} is {value}, expected a finite number")]
    ParameterNotFinite {
        /// Position in the flat parameters.
        index: usize,
        /// What stood there.
        value: f32,
    },
    /// Rows do not have the schema's width.
    #[error("{found} values do not divide into rows of {columns} columns")]
    RowLength {
        /// Values (or columns) given.
        found: usize,
        /// Columns of the schema.
        columns: usize,
    },
    /// A value of a row is NaN or infinite.
    #[error("row {row}, column {column} is {value}, expected a finite number")]
    NotFinite {
        /// Row within the batch or the examples.
        row: usize,
        /// Name of the schema's column.
        column: String,
        /// What stood there.
        value: f32,
    },
    /// Cards, times, labels and rows of the examples are not equally many.
    #[error("examples hold {rows} rows, but {cards} cards, {times} times and {labels} labels")]
    Ragged {
        /// Whole rows of values.
        rows: usize,
        /// Entries of `card`.
        cards: usize,
        /// Entries of `ts`.
        times: usize,
        /// Entries of `label`.
        labels: usize,
    },
    /// Too few usable rows.
    #[error("{found} usable rows, expected at least {expected}")]
    TooFew {
        /// Rows usable for this training.
        found: usize,
        /// Fewest that make sense.
        expected: usize,
    },
    /// A term of training is out of its range.
    #[error("term {name} is {found}, expected {expected}")]
    Term {
        /// Name of the term.
        name: &'static str,
        /// Value given.
        found: f64,
        /// Permitted values, in words.
        expected: &'static str,
    },
    /// The loss or its gradient stopped being a number.
    #[error("the loss is no longer finite at step {step}")]
    Diverged {
        /// Step at which it was noticed, from 0.
        step: u32,
    },
    /// A device that libtorch has, but we do not compute on.
    #[error("found the device {found:?}, expected cpu or cuda")]
    Device {
        /// What was named.
        found: String,
    },
    /// No CUDA device. Linkers leave `libtorch_cuda.so` out, since nothing of it is called by name.
    #[error(
        "found no CUDA device in this libtorch, expected one: a GPU with its driver, a libtorch \
         with CUDA to build against (LIBTORCH), and its libtorch_cuda.so in LD_PRELOAD"
    )]
    NoCuda,
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}
