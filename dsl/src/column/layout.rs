//! Where a path's values stand: the tree of paths that a plan knows, and the names of all others.

use std::{collections::HashMap, fmt::Write as _};

use crate::types::Type;

/// A path that the plan reads or writes, or that a sink's column takes. The number is also its field's place in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The event itself, `.`.
    pub const ROOT: Self = Self(0);

    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One known path.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The path one step up; the root is its own parent.
    pub parent: NodeId,
    /// The last step's key, unquoted.
    pub key: Box<str>,
    /// Known paths one step down, in the order they became known.
    pub children: Vec<NodeId>,
    /// The type every source declares for it, `Any` where none does (or they disagree).
    pub ty: Type,
    /// Whether text and numbers are read as the declared type (`coerce`).
    pub coerce: bool,
    /// Whether an object here is spread into attributes even though no path below it is known: a sink's `Map` column takes them one by one.
    pub spread: bool,
}

impl Node {
    /// Whether an object here is taken apart (its field then shows `Spread`) rather than kept as text.
    #[inline]
    pub fn is_interior(&self) -> bool {
        self.spread || !self.children.is_empty()
    }
}

/// The tree of known paths. Grows while a plan is checked and bound to its sinks, fixed while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    nodes: Vec<Node>,
}

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}

impl Layout {
    /// Only the root.
    pub fn new() -> Self {
        let root = Node {
            parent: NodeId::ROOT,
            key: "".into(),
            children: Vec::new(),
            ty: Type::Any,
            coerce: false,
            spread: true,
        };
        Self { nodes: vec![root] }
    }

    /// The node for a path, added if it is new.
    pub fn add<S: AsRef<str>>(&mut self, path: &[S]) -> NodeId {
        let mut at = NodeId::ROOT;
        for key in path {
            at = self.add_child(at, key.as_ref());
        }
        at
    }

    /// The node one step down, added if it is new.
    pub fn add_child(&mut self, parent: NodeId, key: &str) -> NodeId {
        if let Some(known) = self.child(parent, key) {
            return known;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node {
            parent,
            key: key.into(),
            children: Vec::new(),
            ty: Type::Any,
            coerce: false,
            spread: false,
        });
        self.nodes[parent.index()].children.push(id);
        id
    }

    /// The node for a path, if it is known.
    pub fn find<S: AsRef<str>>(&self, path: &[S]) -> Option<NodeId> {
        path.iter().try_fold(NodeId::ROOT, |at, key| self.child(at, key.as_ref()))
    }

    /// The known node one step down.
    pub fn child(&self, parent: NodeId, key: &str) -> Option<NodeId> {
        self.nodes[parent.index()]
            .children
            .iter()
            .copied()
            .find(|&child| &*self.nodes[child.index()].key == key)
    }

    /// Declares a node's type.
    pub fn declare(&mut self, node: NodeId, ty: Type, coerce: bool) {
        let node = &mut self.nodes[node.index()];
        node.ty = ty;
        node.coerce = coerce;
    }

    /// Asks for objects at this node to be spread into attributes.
    pub fn spread(&mut self, node: NodeId) {
        self.nodes[node.index()].spread = true;
    }

    /// The node.
    #[inline]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Every node, root first, parents before children.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index as u32), node))
    }

    /// How many nodes, the root counted.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the root is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The node itself and all below it.
    pub fn subtree(&self, top: NodeId) -> Vec<NodeId> {
        let mut found = vec![top];
        let mut next = 0;
        while let Some(&node) = found.get(next) {
            found.extend(&self.node(node).children);
            next += 1;
        }
        found
    }

    /// The keys from the root to the node.
    pub fn path(&self, mut id: NodeId) -> Vec<&str> {
        let mut keys = Vec::new();
        while id != NodeId::ROOT {
            let node = self.node(id);
            keys.push(&*node.key);
            id = node.parent;
        }
        keys.reverse();
        keys
    }

    /// The path as rules write it: `.a.b`, keys that are no identifiers in quotes.
    pub fn display(&self, id: NodeId) -> String {
        let mut text = String::new();
        for key in self.path(id) {
            text.push('.');
            let plain = !key.is_empty()
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !key.as_bytes()[0].is_ascii_digit();
            if plain {
                text.push_str(key);
            } else {
                write!(text, "{key:?}").expect("a string takes every character");
            }
        }
        if text.is_empty() { ".".into() } else { text }
    }
}

/// Keys below an anchor.
type Keys = Box<[Box<str>]>;

/// The number of an attribute's name.
pub type NameId = u32;

/// A path that no plan knows, as events bring it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The deepest known path above it.
    pub anchor: NodeId,
    /// The keys below the anchor, at least one.
    pub keys: Box<[Box<str>]>,
    /// All keys from the root joined by dots: the key in a `Map` column.
    pub dotted: Box<str>,
}

/// Names of attributes, learned from events and numbered.
///
/// Producers choose them, so the table is capped: when it is full the decoder starts a fresh one between two batches.
#[derive(Debug, Default)]
pub struct Names {
    list: Vec<Name>,
    ids: HashMap<(NodeId, Keys), NameId>,
    /// Counts fresh starts, so that whoever keeps ids across batches knows when they are void.
    pub generation: u64,
}

impl Names {
    /// How many names a table holds before it is started afresh: far above what honest producers send, and some megabytes at most.
    pub const MAX: usize = 16_384;
    /// An unknown object whose path is longer (in bytes, a dot before each key counted) stays whole, as one attribute.
    /// Every name below it would repeat its path, and a hostile event could make gigabytes of names out of a megabyte.
    pub const LONGEST_PATH: usize = 256;
    /// An unknown object with more keys in its path stays whole too.
    pub const MOST_KEYS: usize = 16;

    /// Whether an unknown object at that path is taken apart, leaf by leaf.
    pub fn spreads<'k>(path: impl Iterator<Item = &'k str>) -> bool {
        let (keys, bytes) =
            path.fold((0, 0), |(keys, bytes), key| (keys + 1, bytes + 1 + key.len()));
        keys <= Self::MOST_KEYS && bytes <= Self::LONGEST_PATH
    }

    /// The number of a name, given its anchor and the keys below it.
    pub fn id(&mut self, layout: &Layout, anchor: NodeId, keys: &[Box<str>]) -> NameId {
        if let Some(&id) = self.ids.get(&(anchor, keys.into())) {
            return id;
        }
        let mut dotted = layout.path(anchor).join(".");
        for key in keys {
            if !dotted.is_empty() {
                dotted.push('.');
            }
            dotted.push_str(key);
        }
        let id = self.list.len() as NameId;
        self.list.push(Name { anchor, keys: keys.into(), dotted: dotted.into() });
        self.ids.insert((anchor, keys.into()), id);
        id
    }

    /// The name with this number.
    #[inline]
    pub fn get(&self, id: NameId) -> &Name {
        &self.list[id as usize]
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether it is time to start afresh.
    pub fn is_full(&self) -> bool {
        self.list.len() >= Self::MAX
    }

    /// Forgets all names.
    pub fn restart(&mut self) {
        self.list.clear();
        self.ids.clear();
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_added_once_and_found_again() {
        let mut layout = Layout::new();
        let status = layout.add(&["http", "status"]);
        assert_eq!(layout.add(&["http", "status"]), status);
        assert_eq!(layout.find(&["http", "status"]), Some(status));
        assert_eq!(layout.find(&["http", "path"]), None);
        assert_eq!(layout.display(status), ".http.status");
        let quoted = layout.add(&["labels", "k8s.io/name"]);
        assert_eq!(layout.display(quoted), ".labels.\"k8s.io/name\"");
        assert_eq!(layout.display(NodeId::ROOT), ".");
        let http = layout.find(&["http"]).unwrap();
        assert_eq!(layout.subtree(http), [http, status]);
    }

    #[test]
    fn names_are_numbered_in_order_of_sight() {
        let mut layout = Layout::new();
        let http = layout.add(&["http"]);
        let mut names = Names::default();
        let id = names.id(&layout, http, &["tls".into(), "version".into()]);
        assert_eq!(names.id(&layout, http, &["tls".into(), "version".into()]), id);
        assert_eq!(&*names.get(id).dotted, "http.tls.version");
        assert_eq!(names.len(), 1);
        names.restart();
        assert!(names.is_empty() && names.generation == 1);
    }
}
