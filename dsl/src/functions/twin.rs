//! What a function is in ClickHouse SQL, or why it is nothing there.
//!
//! A template names arguments by place: `{0}`, `{1|10}` with what stands where it was left out, `{*}` for all of them. A lambda's place is
//! the whole lambda, `x -> …`; a regex's is its text in quotes.

/// The reason of all functions whose results are better computed once.
pub(super) const STORED: &str = "a rule stores what it yields, and the column is read";

/// A function's counterpart in ClickHouse.
#[derive(Debug, Clone, Copy)]
pub enum Sql {
    /// An expression over the same arguments.
    Twin(Twin),
    /// There is none: the end of a sentence that begins "not in SQL: ".
    None(&'static str),
}

/// An expression of ClickHouse that means what the function means.
#[derive(Debug, Clone, Copy)]
pub struct Twin {
    /// The expression, unless one of `forms` fits.
    pub template: &'static str,
    /// What stands for calls of another form; the first that fits. An empty one: such calls have none.
    pub forms: &'static [(When, &'static str)],
    /// What it makes of null, which stands for an absent value.
    pub nulls: Nulls,
    /// Where the two differ, or what the other side must see to; empty where there is nothing to say.
    pub note: &'static str,
}

/// What an argument looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It was given.
    Given(usize),
    /// It is this bare name.
    Choice(usize, &'static str),
    /// It is a list.
    List(usize),
    /// It is a map or a record.
    Map(usize),
    /// It is a number.
    Number(usize),
    /// It is a regex.
    Regex(usize),
    /// It is a lambda.
    Lambda(usize),
}

/// What becomes of null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Null in, null out, as an absent value does here: nothing is to be done.
    Pass,
    /// The expression passes over null where the function is absent: whoever writes it wraps it in `if(isNull(…) OR …, NULL, …)`.
    Wrap,
    /// The function answers for absent values too, and so does the expression.
    Answer,
}

/// The same in ClickHouse, null for null.
pub(super) const fn twin(template: &'static str) -> Sql {
    Sql::Twin(Twin { template, forms: &[], nulls: Nulls::Pass, note: "" })
}

impl Sql {
    /// With other expressions for calls of other forms.
    pub(super) const fn forms(self, forms: &'static [(When, &'static str)]) -> Self {
        match self {
            Self::Twin(twin) => Self::Twin(Twin { forms, ..twin }),
            Self::None(why) => Self::None(why),
        }
    }

    /// With another way to treat null.
    pub(super) const fn nulls(self, nulls: Nulls) -> Self {
        match self {
            Self::Twin(twin) => Self::Twin(Twin { nulls, ..twin }),
            Self::None(why) => Self::None(why),
        }
    }

    /// With something to know.
    pub(super) const fn note(self, note: &'static str) -> Self {
        match self {
            Self::Twin(twin) => Self::Twin(Twin { note, ..twin }),
            Self::None(why) => Self::None(why),
        }
    }
}

/// A template with its arguments put in; nothing if an argument that it needs was left out or the template is wrong.
pub fn fill(template: &str, args: &[Option<&str>]) -> Option<String> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let (hole, behind) = behind.split_once('}')?;
        rest = behind;
        if hole == "*" {
            let given: Vec<&str> = args.iter().copied().flatten().collect();
            out.push_str(&given.join(", "));
            continue;
        }
        let (index, otherwise) = match hole.split_once('|') {
            Some((index, otherwise)) => (index, Some(otherwise)),
            None => (hole, None),
        };
        let given = args.get(index.parse::<usize>().ok()?).copied().flatten();
        out.push_str(given.or(otherwise)?);
    }
    out.push_str(rest);
    Some(out)
}
