//! The tree of a `.rules` file: declarations, rules, windows, alerts.
//!
//! Invariant: every node owns its data and knows its span; what could not be read is an `Error`
//! node, and a diagnostic says why.

mod expr;
mod stmt;
mod test;
mod ty;

pub use expr::{
    Arg, Arithmetic, Arm, Comparison, Expr, ExprKind, Path, PathRoot, Pattern, PatternKind, Piece,
    Presence, RecordField, Seg, SegKind, Tag,
};
pub use stmt::{
    AssignOp, Block, Else, If, LetPattern, PathGlob, Ratio, RatioKind, Stmt, StmtKind, Target,
};
pub use test::{Expectation, Fate, MockEntry, Step, StepKind, Test};
pub use ty::{FieldType, RecordType, Type, TypeKind};

use crate::span::{FileId, Span};

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The file's number in the sources.
    pub id: FileId,
    /// The declarations, in order.
    pub items: Vec<Item>,
    /// The comments, in order. They hang on no node.
    pub comments: Vec<Comment>,
}

/// One comment, from `#` to the end of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Where it stands.
    pub span: Span,
    /// Its text with the `#`, without spaces at the end.
    pub text: String,
}

/// A name: a declared thing, a field, an argument, a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The text; of a quoted key without quotes and escapes.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// A name that may come from a file used `as` something: `x` or `lib::x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QName {
    /// What stands before `::`.
    pub space: Option<Ident>,
    /// The name itself.
    pub name: Ident,
    /// Both.
    pub span: Span,
}

impl QName {
    /// Returns the name where it stands alone, without `x::`.
    pub fn bare(&self) -> Option<&str> {
        self.space.is_none().then_some(self.name.name.as_str())
    }

    /// Returns the name as it is written.
    pub fn written(&self) -> String {
        self.space.as_ref().map_or_else(
            || self.name.name.clone(),
            |space| format!("{}::{}", space.name, self.name.name),
        )
    }
}

/// Plain text in quotes where only that may stand: a path, a reason, a tag, a test's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text without quotes and escapes.
    pub value: String,
    /// Where it stands, with the quotes.
    pub span: Span,
}

/// A length of time where only that may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration {
    /// Nanoseconds, not negative.
    pub nanos: i64,
    /// Where it stands.
    pub span: Span,
}

/// A count where only that may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub value: u64,
    /// Where it stands.
    pub span: Span,
}

/// One declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `use "lib/http.rules" as http`
    Use(Use),
    /// `include "10-noise.rules"`
    Include(Include),
    /// `default route to app_logs`
    DefaultRoute(DefaultRoute),
    /// `const LIMIT = 10`
    Const(Const),
    /// `enum tier ordered { free, paid }`
    Enum(Enum),
    /// `type Geo = { … }`
    Type(TypeDecl),
    /// `source k8s : K8sLog`
    Source(SourceDecl),
    /// `lookup geo(ip) -> Geo?`
    Lookup(LookupDecl),
    /// `sink logs : table("logs")`
    Sink(SinkDecl),
    /// `fn f(a: int) -> int = …`
    Fn(FnDecl),
    /// `rule r on s when … { … }`
    Rule(Rule),
    /// `group g first { … }`
    Group(Group),
    /// `window w on s { … }`
    Window(Window),
    /// `alert a on s { … }`
    Alert(Window),
    /// `test "…" { … }`
    Test(Test),
    /// Text that is no declaration; a diagnostic says why.
    Error(Span),
}

impl Item {
    /// Returns where the declaration stands, attributes included.
    pub fn span(&self) -> Span {
        match self {
            Self::Use(item) => item.span,
            Self::Include(item) => item.span,
            Self::DefaultRoute(item) => item.span,
            Self::Const(item) => item.span,
            Self::Enum(item) => item.span,
            Self::Type(item) => item.span,
            Self::Source(item) => item.span,
            Self::Lookup(item) => item.span,
            Self::Sink(item) => item.span,
            Self::Fn(item) => item.span,
            Self::Rule(item) => item.span,
            Self::Group(item) => item.span,
            Self::Window(item) | Self::Alert(item) => item.span,
            Self::Test(item) => item.span,
            Self::Error(span) => *span,
        }
    }
}

/// `use "path" as name`: imports names.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The file, relative to this one.
    pub path: Text,
    /// What its names are prefixed with; without it they are taken bare.
    pub alias: Option<Ident>,
    /// The whole declaration.
    pub span: Span,
}

/// `include "path"`: runs another file's rules here.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The file, relative to this one.
    pub path: Text,
    /// The whole declaration.
    pub span: Span,
}

/// `default route to a, b`: where an event goes that nothing routed or dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultRoute {
    /// The sinks.
    pub targets: Vec<Target>,
    /// The whole declaration.
    pub span: Span,
}

/// `const NAME: type = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Const {
    /// The name.
    pub name: Ident,
    /// The declared type, otherwise the value's.
    pub ty: Option<Type>,
    /// The value.
    pub value: Expr,
    /// The whole declaration.
    pub span: Span,
}

/// `enum name ordered { a, b }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Enum {
    /// The name.
    pub name: Ident,
    /// Whether its members compare with `<`.
    pub ordered: bool,
    /// The members, in order.
    pub members: Vec<Ident>,
    /// The whole declaration.
    pub span: Span,
}

/// `type Name = type`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeDecl {
    /// The name.
    pub name: Ident,
    /// What it stands for.
    pub ty: Type,
    /// The whole declaration.
    pub span: Span,
}

/// `source name : type`.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDecl {
    /// The attributes.
    pub attrs: Vec<Attr>,
    /// The name.
    pub name: Ident,
    /// The shape of its events; without it the built-in `Log`.
    pub ty: Option<Type>,
    /// The whole declaration.
    pub span: Span,
}

/// `lookup name(keys) -> type`.
#[derive(Clone, Debug, PartialEq)]
pub struct LookupDecl {
    /// The attributes.
    pub attrs: Vec<Attr>,
    /// The name.
    pub name: Ident,
    /// The types of the keys, at least one.
    pub keys: Vec<Type>,
    /// What it answers.
    pub result: Type,
    /// The whole declaration.
    pub span: Span,
}

/// `sink name : type with (parameters)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkDecl {
    /// The attributes.
    pub attrs: Vec<Attr>,
    /// The name.
    pub name: Ident,
    /// A `table("…")` or the record it takes.
    pub ty: Type,
    /// What a route may set beside the event.
    pub with: Vec<Param>,
    /// The whole declaration.
    pub span: Span,
}

/// `fn name(params) -> type = body`.
#[derive(Clone, Debug, PartialEq)]
pub struct FnDecl {
    /// The name.
    pub name: Ident,
    /// The parameters.
    pub params: Vec<Param>,
    /// The declared type of the result, otherwise the body's.
    pub result: Option<Type>,
    /// The body.
    pub body: Expr,
    /// The whole declaration.
    pub span: Span,
}

/// `name: type`.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// Both.
    pub span: Span,
}

/// `@name(…)` before a declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Attr {
    /// The name without `@`.
    pub name: Ident,
    /// What stands in the parentheses.
    pub args: AttrArgs,
    /// The whole attribute.
    pub span: Span,
}

/// What stands in an attribute's parentheses.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrArgs {
    /// No parentheses.
    None,
    /// A ratio: `@canary(5%)`.
    Ratio(Ratio),
    /// Arguments: `@owner("platform")`.
    List(Vec<Arg>),
}

/// What comes after `on`.
#[derive(Clone, Debug, PartialEq)]
pub enum On {
    /// `on any`: every source; the same as no `on` at all.
    Any(Span),
    /// One source, or for windows and alerts whatever the name stands for.
    Source(QName),
}

/// `rule name on source when condition { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The attributes.
    pub attrs: Vec<Attr>,
    /// The name.
    pub name: Ident,
    /// Which events it sees.
    pub on: Option<On>,
    /// Which of them it takes.
    pub when: Option<Expr>,
    /// What it does with them.
    pub body: Block,
    /// The whole declaration.
    pub span: Span,
}

/// `group name first when condition { rules }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The attributes.
    pub attrs: Vec<Attr>,
    /// The name.
    pub name: Ident,
    /// Whether it ends at the first rule that takes the event.
    pub mode: GroupMode,
    /// The condition all its rules share.
    pub when: Option<Expr>,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// The whole declaration.
    pub span: Span,
}

/// How many rules of a group an event meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupMode {
    /// All of them; the mode of a group that names none.
    All,
    /// The first that takes it.
    First,
}

/// `window name on source when condition { … }`, and an alert, which looks the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The attributes.
    pub attrs: Vec<Attr>,
    /// The name.
    pub name: Ident,
    /// Which events it sees.
    pub on: Option<On>,
    /// Which of them it counts.
    pub when: Option<Expr>,
    /// The clauses, in order.
    pub clauses: Vec<Clause>,
    /// The whole declaration.
    pub span: Span,
}

/// One clause of a window or an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// What it says.
    pub kind: ClauseKind,
    /// Where it stands.
    pub span: Span,
}

/// What a clause of a window or an alert says.
#[derive(Clone, Debug, PartialEq)]
pub enum ClauseKind {
    /// `over 5m every 30s late 15s`
    Over {
        /// The window's length.
        length: Duration,
        /// How often it is evaluated; without it once per length.
        every: Option<Duration>,
        /// How long late events are waited for.
        late: Option<Duration>,
    },
    /// `by .a, .b`
    By(Vec<Expr>),
    /// `let name = aggregate`
    Let {
        /// The name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `fire when condition for 2m resolve after 5m`
    Fire {
        /// The condition.
        condition: Expr,
        /// How long it must hold.
        hold: Option<Duration>,
        /// How long it must not hold before the alert ends.
        resolve: Option<Duration>,
    },
    /// `severity …`, `summary …`, `runbook …`, `notify …`, `labels …`
    Meta {
        /// Which of them.
        kind: MetaKind,
        /// The values; one but for `notify`.
        values: Vec<Expr>,
    },
    /// `route to sink`
    Route(Vec<Target>),
    /// Text that is no clause; a diagnostic says why.
    Error,
}

/// What an alert tells people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKind {
    /// How bad it is.
    Severity,
    /// What happened, in a line.
    Summary,
    /// Where to read what to do.
    Runbook,
    /// Whom to tell.
    Notify,
    /// Labels for whoever receives it.
    Labels,
}
