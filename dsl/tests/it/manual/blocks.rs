//! The code blocks of a Markdown text, and programs made of them. The tests of the engine read it too.

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// What stands behind the opening fence: `rules`, `rules wrong`, `events`, `result`, `diagnostic`.
    pub(crate) kind: String,
    /// Its lines.
    pub(crate) text: String,
    /// The line of its opening fence, from 1.
    pub(crate) line: usize,
}

/// What a block without a source of its own stands behind.
pub(crate) const OPENING: &str = "source app\nsink logs : table(\"logs\")\n\n";

/// What a block without a default route ends with.
pub(crate) const ENDING: &str = "\ndefault route to logs\n";

/// The blocks of a text, in order.
pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                open = Some(Block {
                    kind: kind.trim().to_owned(),
                    text: String::new(),
                    line: index + 1,
                });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text = format!("{}{line}\n", block.text),
            (None, None) => {}
        }
    }
    found
}

/// The same Markdown with other texts in the blocks that open in those lines, which ascend.
pub(crate) fn with_texts(markdown: &str, texts: &[(usize, String)]) -> String {
    let mut lines: Vec<&str> = markdown.lines().collect();
    for (line, text) in texts.iter().rev() {
        let end = lines[*line..]
            .iter()
            .position(|line| *line == "```")
            .map_or(lines.len(), |at| line + at);
        lines.splice(line..&end, text.trim_end().lines());
    }
    lines.join("\n") + "\n"
}

/// The name that a block gives itself in its first line: `# lib/http.rules`.
pub(crate) fn name(text: &str) -> Option<&str> {
    let first = text.lines().next()?.strip_prefix("# ")?;
    first
        .split_whitespace()
        .next()
        .filter(|word| std::path::Path::new(word).extension().is_some_and(|end| end == "rules"))
}

/// A block as a whole file: with the opening and the ending that it leaves out. A block that names itself is whole.
pub(crate) fn whole(text: &str) -> String {
    let begins = |word: &str| text.lines().any(|line| line.starts_with(word));
    if name(text).is_some() || begins("use ") || begins("include ") {
        return text.to_owned();
    }
    let opening = if begins("source ") { "" } else { OPENING };
    let ending = if begins("default route") { "" } else { ENDING };
    [opening, text, ending].concat()
}
