//! Documents: text with places where a line may be broken.
//!
//! After Wadler's "A prettier printer": a group is printed on one line if it fits, otherwise all of
//! its own lines are broken, and the groups inside it are asked again.

use std::borrow::Cow;

/// A piece of a document.
#[derive(Debug)]
pub(super) enum Doc {
    /// Text; what has several lines is copied as it is.
    Text(String),
    /// A blank, or a new line where the group is broken.
    Line,
    /// Two blanks, or a new line where the group is broken.
    WideLine,
    /// Nothing, or a new line where the group is broken.
    SoftLine,
    /// A new line.
    HardLine,
    /// Text that is there only where the group is broken.
    IfBroken(&'static str),
    /// A comment on a line of its own; a new line must follow.
    Comment(String),
    /// A comment at the end of a line; a new line must follow.
    Trailing(String),
    /// Pieces in a row; whether one of them breaks what it is in.
    Concat(Vec<Doc>, bool),
    /// Lines two blanks further right.
    Indent(Box<Doc>),
    /// Something that fits on a line or is broken; whether it is broken in any case.
    Group(Box<Doc>, bool),
}

/// Makes text.
pub(super) fn text<'t>(text: impl Into<Cow<'t, str>>) -> Doc {
    Doc::Text(text.into().into_owned())
}

/// Puts pieces in a row.
pub(super) fn concat(docs: impl IntoIterator<Item = Doc>) -> Doc {
    let docs: Vec<Doc> = docs.into_iter().collect();
    let forces = docs.iter().any(Doc::forces);
    Doc::Concat(docs, forces)
}

/// Makes a group.
pub(super) fn group(docs: impl IntoIterator<Item = Doc>) -> Doc {
    let doc = concat(docs);
    let forces = doc.forces();
    Doc::Group(Box::new(doc), forces)
}

impl Doc {
    /// Indents a piece.
    pub(super) fn indent(self) -> Self {
        Self::Indent(Box::new(self))
    }

    /// Whether the group around this cannot stand on one line.
    pub(super) fn forces(&self) -> bool {
        match self {
            Self::HardLine | Self::Comment(_) | Self::Trailing(_) => true,
            Self::Concat(_, forces) | Self::Group(_, forces) => *forces,
            Self::Indent(doc) => doc.forces(),
            Self::Text(_) | Self::Line | Self::WideLine | Self::SoftLine | Self::IfBroken(_) => {
                false
            }
        }
    }

    /// Prints a document.
    pub(super) fn print(&self, width: usize) -> String {
        let mut output = Output { text: String::new(), column: 0, indent: None };
        let mut todo = vec![Todo { indent: 0, is_broken: true, doc: self }];
        while let Some(Todo { indent, is_broken, doc }) = todo.pop() {
            match doc {
                Self::Text(text) | Self::Comment(text) => output.write(text),
                Self::Trailing(text) => {
                    output.write("  ");
                    output.write(text);
                }
                Self::HardLine => output.end_line(indent),
                Self::Line | Self::WideLine | Self::SoftLine if is_broken => {
                    output.end_line(indent);
                }
                Self::Line => output.write(" "),
                Self::WideLine => output.write("  "),
                Self::SoftLine => {}
                Self::IfBroken(text) if is_broken => output.write(text),
                Self::IfBroken(_) => {}
                Self::Concat(docs, _) => {
                    todo.extend(docs.iter().rev().map(|doc| Todo { indent, is_broken, doc }));
                }
                Self::Indent(doc) => todo.push(Todo { indent: indent + 2, is_broken, doc }),
                Self::Group(doc, forced) => {
                    let flat = Todo { indent, is_broken: false, doc };
                    let fits = !forced && {
                        let column = output.indent.unwrap_or(output.column);
                        fits(flat, &todo, width, column)
                    };
                    todo.push(Todo { is_broken: !fits, ..flat });
                }
            }
        }
        output.text
    }
}

/// A piece that is still to be printed.
#[derive(Clone, Copy, Debug)]
struct Todo<'d> {
    indent: usize,
    is_broken: bool,
    doc: &'d Doc,
}

/// Whether a piece and what follows it up to the next line end have room.
fn fits(first: Todo<'_>, rest: &[Todo<'_>], width: usize, column: usize) -> bool {
    let mut room = width.saturating_sub(column);
    let mut rest = rest.iter().rev();
    let mut todo = vec![first];
    loop {
        let Some(next) = todo.pop().or_else(|| rest.next().copied()) else { return true };
        let Todo { indent, is_broken, doc } = next;
        let written = match doc {
            Doc::Text(text) => {
                // Copied lines are as long as they are; what follows the last one must fit.
                if let Some((first, last)) = text.split_once('\n') {
                    if room < first.chars().count() {
                        return false;
                    }
                    room = width;
                    last.rsplit('\n').next().unwrap_or(last).chars().count()
                } else {
                    text.chars().count()
                }
            }
            Doc::Line | Doc::WideLine | Doc::SoftLine if is_broken => return true,
            Doc::HardLine | Doc::Comment(_) | Doc::Trailing(_) => return true,
            Doc::Line => 1,
            Doc::WideLine => 2,
            Doc::SoftLine => 0,
            Doc::IfBroken(text) => {
                if is_broken {
                    text.len()
                } else {
                    0
                }
            }
            Doc::Concat(docs, _) => {
                todo.extend(docs.iter().rev().map(|doc| Todo { indent, is_broken, doc }));
                0
            }
            Doc::Indent(doc) | Doc::Group(doc, _) => {
                todo.push(Todo { indent, is_broken, doc });
                0
            }
        };
        match room.checked_sub(written) {
            Some(left) => room = left,
            None => return false,
        }
    }
}

/// The text so far.
#[derive(Debug)]
struct Output {
    text: String,
    column: usize,
    /// The blanks that the next text on this line starts with; an empty line gets none.
    indent: Option<usize>,
}

impl Output {
    fn write(&mut self, text: &str) {
        if let Some(indent) = self.indent.take() {
            self.text.extend(std::iter::repeat_n(' ', indent));
            self.column = indent;
        }
        self.text.push_str(text);
        match text.rsplit_once('\n') {
            Some((_, last)) => self.column = last.chars().count(),
            None => self.column += text.chars().count(),
        }
    }

    fn end_line(&mut self, indent: usize) {
        self.text.push('\n');
        self.indent = Some(indent);
        self.column = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_break_from_the_outside() {
        let inner = || group([text("["), concat([Doc::SoftLine, text("bbb")]).indent(), text("]")]);
        let doc =
            || group([text("aaaa"), concat([Doc::Line, inner(), Doc::Line, inner()]).indent()]);
        assert_eq!(doc().print(20), "aaaa [bbb] [bbb]");
        assert_eq!(doc().print(10), "aaaa\n  [bbb]\n  [bbb]");
        assert_eq!(doc().print(6), "aaaa\n  [\n    bbb]\n  [\n    bbb]");
    }

    #[test]
    fn comments_end_their_line() {
        let doc = group([
            text("a,"),
            Doc::Trailing("# c".to_owned()),
            Doc::Line,
            text("b"),
            Doc::IfBroken(","),
        ]);
        assert_eq!(doc.print(80), "a,  # c\nb,");
    }
}
