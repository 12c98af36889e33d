//! Events from JSON text, the plain way: for tests and test blocks, and what the scanner is compared with.
