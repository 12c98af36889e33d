//! What programs that turn text into text came to, to see that all did the same.

/// What a walk came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Printed {
    /// Events that the program did not drop.
    pub kept: usize,
    /// Those of them that are errors.
    pub errors: usize,
    /// JSON bytes.
    pub bytes: usize,
}
