//! Real services.
