//! The rule language, pure.
