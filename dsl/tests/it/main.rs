//! The test binary of the language.
