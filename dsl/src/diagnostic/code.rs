//! The list of diagnostic codes, each with the sentence that explains it.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Severity;

/// What a diagnostic is about. The letter says how bad it is unless told otherwise; a code is
/// never used for a second thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The text is not a program: something else was expected here.
    E100,
    /// The types of an operator, an argument or an assignment do not fit.
    E101,
    /// Nothing has this name, or it is called with the wrong arguments.
    E102,
    /// A value that may be absent is used where one is required, or an `else` block falls through.
    E103,
    /// Functions or files refer to each other in a circle.
    E104,
    /// A habit from another language: `=` for `==`, `&&`, `||`, `!x`, `'text'`, `=~`, `5 min`, `== null`, `a < b < c`.
    E105,
    /// The text is larger or more deeply nested than is ever needed.
    E106,
    /// A part of the language that this version does not run yet.
    E107,
    /// Two things have the same name.
    E108,
    /// A file that is used or included cannot be, or stands in the wrong place.
    E109,
    /// Something is declared and never used.
    W110,
    /// A result is ignored, or overwritten before anything reads it.
    W111,
    /// A literal does not say anything: regex, pattern, glob, address, time, escape, number.
    E120,
    /// A regex needs more than linear time.
    E121,
    /// A regex is expensive.
    W122,
    /// A regex says what a cheaper operator says.
    W123,
    /// A capture is never used, or hides a field.
    W124,
    /// A closed type has no such field.
    E201,
    /// An open type knows no such field, but one with a close name.
    W201,
    /// A field is compared with a type that was never observed there.
    W202,
    /// A literal has upper case where the field never has.
    W203,
    /// A condition is always true or always false.
    W301,
    /// A rule can never match.
    W302,
    /// An earlier rule takes nearly all of this rule's events.
    W303,
    /// An event may leave without a route.
    E304,
    /// An event may leave this file without a route.
    W304,
    /// Two rules say the same.
    W305,
    /// A rule reads what only a later rule writes.
    W306,
    /// A negated predicate on an optional field also holds where the field is absent.
    W312,
    /// Errors are thrown away by a rule that nobody owns.
    W313,
    /// A key may have more values than memory should hold.
    W314,
    /// A value does not fit the column of the sink's table.
    E401,
    /// A field reaches no column, or a column is never written.
    W402,
    /// The table in the cluster differs from the pulled schema.
    E403,
    /// The back end of a lookup does not have what the rules declare.
    E404,
    /// A sensitive value may reach a sink that does not accept it.
    E501,
    /// A pinned redaction comes after a route.
    W502,
    /// An alert's times do not fit together.
    W601,
    /// An alert's label is not present in all its sources.
    W602,
    /// This cannot be expressed in SQL.
    E603,
    /// This means something else in SQL because of how it is stored.
    W604,
    /// A test expects what does not happen.
    E700,
    /// A rule or a branch has no test, or a test expects nothing.
    W701,
    /// A rule has expired, or its owner is unknown.
    W702,
    /// See [`Code::title`].
    E703,
    /// A rule is expensive.
    W801,
}

impl Code {
    /// Every code, in the order of the manual.
    pub const ALL: &[Self] = &[
        Self::E100,
        Self::E101,
        Self::E102,
        Self::E103,
        Self::E104,
        Self::E105,
        Self::E106,
        Self::E107,
        Self::E108,
        Self::E109,
        Self::W110,
        Self::W111,
        Self::E120,
        Self::E121,
        Self::W122,
        Self::W123,
        Self::W124,
        Self::E201,
        Self::W201,
        Self::W202,
        Self::W203,
        Self::W301,
        Self::W302,
        Self::W303,
        Self::E304,
        Self::W304,
        Self::W305,
        Self::W306,
        Self::W312,
        Self::W313,
        Self::W314,
        Self::E401,
        Self::W402,
        Self::E403,
        Self::E404,
        Self::E501,
        Self::W502,
        Self::W601,
        Self::W602,
        Self::E603,
        Self::W604,
        Self::E700,
        Self::W701,
        Self::W702,
        Self::E703,
        Self::W801,
    ];

    /// Returns the code as it is written: `E101`.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// Returns what the code stands for, as a sentence without capital and full stop.
    pub fn sentence(self) -> &'static str {
        self.entry().1
    }

    /// Returns how bad a diagnostic with this code is unless somebody promotes it.
    pub fn severity(self) -> Severity {
        if self.name().starts_with('E') { Severity::Error } else { Severity::Warning }
    }

    /// Finds a code by its name, for `@allow("W312")`.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    fn entry(self) -> (&'static str, &'static str) {
        match self {
            Self::E100 => ("E100", "the text is not a program: something else was expected here"),
            Self::E101 => {
                ("E101", "the types of an operator, an argument or an assignment do not fit")
            }
            Self::E102 => {
                ("E102", "nothing has this name, or it is called with the wrong arguments")
            }
            Self::E103 => (
                "E103",
                "a value that may be absent is used where one is required, or an `else` block falls through",
            ),
            Self::E104 => ("E104", "functions or files refer to each other in a circle"),
            Self::E105 => (
                "E105",
                "a habit from another language: `=` for `==`, `&&`, `||`, `!x`, `'text'`, `=~`, `5 min`, `== null`, `a < b < c`",
            ),
            Self::E106 => ("E106", "the text is larger or more deeply nested than is ever needed"),
            Self::E107 => ("E107", "a part of the language that this version does not run yet"),
            Self::E108 => ("E108", "two things have the same name"),
            Self::E109 => {
                ("E109", "a file that is used or included cannot be, or stands in the wrong place")
            }
            Self::W110 => ("W110", "something is declared and never used"),
            Self::W111 => ("W111", "a result is ignored, or overwritten before anything reads it"),
            Self::E120 => (
                "E120",
                "a literal does not say anything: regex, pattern, glob, address, time, escape, number",
            ),
            Self::E121 => ("E121", "a regex needs more than linear time"),
            Self::W122 => ("W122", "a regex is expensive"),
            Self::W123 => ("W123", "a regex says what a cheaper operator says"),
            Self::W124 => ("W124", "a capture is never used, or hides a field"),
            Self::E201 => ("E201", "a closed type has no such field"),
            Self::W201 => ("W201", "an open type knows no such field, but one with a close name"),
            Self::W202 => ("W202", "a field is compared with a type that was never observed there"),
            Self::W203 => ("W203", "a literal has upper case where the field never has"),
            Self::W301 => ("W301", "a condition is always true or always false"),
            Self::W302 => ("W302", "a rule can never match"),
            Self::W303 => ("W303", "an earlier rule takes nearly all of this rule's events"),
            Self::E304 => ("E304", "an event may leave without a route"),
            Self::W304 => ("W304", "an event may leave this file without a route"),
            Self::W305 => ("W305", "two rules say the same"),
            Self::W306 => ("W306", "a rule reads what only a later rule writes"),
            Self::W312 => (
                "W312",
                "a negated predicate on an optional field also holds where the field is absent",
            ),
            Self::W313 => ("W313", "errors are thrown away by a rule that nobody owns"),
            Self::W314 => ("W314", "a key may have more values than memory should hold"),
            Self::E401 => ("E401", "a value does not fit the column of the sink's table"),
            Self::W402 => ("W402", "a field reaches no column, or a column is never written"),
            Self::E403 => ("E403", "the table in the cluster differs from the pulled schema"),
            Self::E404 => ("E404", "the back end of a lookup does not have what the rules declare"),
            Self::E501 => ("E501", "a sensitive value may reach a sink that does not accept it"),
            Self::W502 => ("W502", "a pinned redaction comes after a route"),
            Self::W601 => ("W601", "an alert's times do not fit together"),
            Self::W602 => ("W602", "an alert's label is not present in all its sources"),
            Self::E603 => ("E603", "this cannot be expressed in SQL"),
            Self::W604 => ("W604", "this means something else in SQL because of how it is stored"),
            Self::E700 => ("E700", "a test expects what does not happen"),
            Self::W701 => ("W701", "a rule or a branch has no test, or a test expects nothing"),
            Self::W702 => ("W702", "a rule has expired, or its owner is unknown"),
            Self::E703 => ("E703", "a rule expired long ago"),
            Self::W801 => ("W801", "a rule is expensive"),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        for code in Code::ALL {
            assert_eq!(Code::find(code.name()), Some(*code));
            assert_eq!(format!("{code:?}"), code.name());
        }
        assert!(Code::ALL.windows(2).all(|pair| pair[0] < pair[1]), "as declared, each once");
        assert_eq!(Code::ALL.last().map(|last| *last as usize + 1), Some(Code::ALL.len()));
    }
}
