//! How a table stores events: which column holds which path, and as what.

use std::sync::Arc;

use crate::plan::MetaField;

/// The table that a condition is asked of.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// Columns that hold one path's value.
    pub columns: Vec<Column>,
    /// What holds the paths that no column takes.
    pub rest: Option<Rest>,
    /// Columns that hold where an event came from.
    pub meta: Vec<(MetaField, Arc<str>)>,
}

/// A column that one path feeds.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in the table.
    pub name: Arc<str>,
    /// The paths that feed it, each as keys from the event's root.
    pub paths: Vec<Vec<Arc<str>>>,
    /// What it holds.
    pub stored: Stored,
    /// How it holds an absent value.
    pub absent: StoredAbsent,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Text.
    Text,
    /// Text in a type of the server's own (`UUID`) that must be turned into text first.
    AsText,
    /// A truth value.
    Bool,
    /// A whole number of any width.
    Int,
    /// A floating-point number.
    Float,
    /// A moment.
    Time,
    /// An enum with the names and numbers of `severity`.
    Severity,
    /// `IPv6`
    Ip,
    /// `IPv4`
    Ip4,
    /// An array.
    List(Box<Self>),
    /// A map from text to text: members are stored as text.
    TextMap,
    /// `JSON`
    Json,
    /// A type that conditions cannot be put to, by its name in the table.
    Other(Arc<str>),
}

/// How a column holds an absent value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredAbsent {
    /// As NULL.
    Null,
    /// As empty text, as the severity `unset`: told apart from every value that rules care for.
    Empty,
    /// As the type's zero, which cannot be told from a real zero.
    Zero,
    /// Never: the path always has a value.
    Never,
}

/// The column that holds what no other column takes.
#[derive(Debug, Clone)]
pub struct Rest {
    /// Its name in the table.
    pub column: Arc<str>,
    /// Whether it is `JSON`; otherwise a map of dotted paths and text.
    pub json: bool,
}

/// Where a path's value stands.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a column of its own: its number.
    Column(usize),
    /// Below a JSON column: the column and the keys inside it.
    Json(Arc<str>, Vec<Arc<str>>),
    /// In a map: the column and the entry's key.
    Entry(Arc<str>, String),
}

impl Store {
    /// Where the value of that path stands; `None` where the table does not keep it.
    pub(super) fn place(&self, path: &[Arc<str>]) -> Option<Place> {
        if let Some(at) =
            self.columns.iter().position(|column| column.paths.iter().any(|keys| keys == path))
        {
            return Some(Place::Column(at));
        }
        // The longest path above it whose column takes members.
        let above = self
            .columns
            .iter()
            .flat_map(|column| column.paths.iter().map(move |keys| (column, keys)))
            .filter(|(column, keys)| {
                matches!(column.stored, Stored::Json | Stored::TextMap)
                    && path.len() > keys.len()
                    && path.starts_with(keys)
            })
            .max_by_key(|(_, keys)| keys.len());
        if let Some((column, keys)) = above {
            let below = &path[keys.len()..];
            return Some(match column.stored {
                Stored::Json => Place::Json(column.name.clone(), below.to_vec()),
                _ => Place::Entry(column.name.clone(), below.join(".")),
            });
        }
        let rest = self.rest.as_ref()?;
        Some(if rest.json {
            Place::Json(rest.column.clone(), path.to_vec())
        } else {
            Place::Entry(rest.column.clone(), path.join("."))
        })
    }
}

impl Place {
    /// The member of that name.
    pub(super) fn member(&self, store: &Store, key: &Arc<str>) -> Option<Self> {
        match self {
            Self::Column(at) => {
                let column = &store.columns[*at];
                match column.stored {
                    Stored::Json => Some(Self::Json(column.name.clone(), vec![key.clone()])),
                    Stored::TextMap => Some(Self::Entry(column.name.clone(), key.to_string())),
                    _ => None,
                }
            }
            Self::Json(column, keys) => {
                let mut keys = keys.clone();
                keys.push(key.clone());
                Some(Self::Json(column.clone(), keys))
            }
            Self::Entry(column, path) => Some(Self::Entry(column.clone(), format!("{path}.{key}"))),
        }
    }
}
