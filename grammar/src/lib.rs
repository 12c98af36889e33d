//! The PEG of `.rules` files.
