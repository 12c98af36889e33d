//! JSON text: walking valid text, writing values, undoing escapes.
