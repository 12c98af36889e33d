//! What is said of mistakes, code by code.
