//! Events in columns: the vectors that rules compute with.
//!
//! A micro-batch holds some hundred events of one partition. Every path that the plan reads or writes has a field, everything else is
//! kept as attributes. Values stay 8-byte views into one arena until somebody needs them decoded.

pub mod batch;
pub mod blend;
pub mod cells;
pub mod decode;
pub mod json;
pub mod layout;
pub mod load;
pub mod mask;
pub mod print;
mod register;
pub mod value;
pub mod view;

pub use batch::{Batch, Field, Meta, Rest};
pub use cells::{Cells, Column, Record};
pub use layout::{Layout, Names, NodeId};
pub use mask::Mask;
pub use value::{Absence, Cidr, Severity, Value};
pub use view::{Arena, Kind, View};
