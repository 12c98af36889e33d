//! The test binary of the engine.
