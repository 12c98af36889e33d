//! Cuts a file into pieces of one declaration each, also where the text is broken.

use std::ops::Range;

use super::scan::{INFIX_WORDS, Kind, Scan, Token, ends_operand, is_item_word};

/// One declaration's text, as far as the scanner can tell.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its bytes: from its first token to the end of its last.
    pub(super) bytes: Range<usize>,
    /// Its tokens.
    pub(super) tokens: Range<usize>,
}

/// Cuts the tokens of a file at every declaration.
pub(super) fn split(text: &str, scan: &Scan) -> Vec<Piece> {
    let tokens = &scan.tokens;
    let mut cuts: Vec<usize> = Vec::new();
    for idx in 0..tokens.len() {
        if starts_declaration(text, tokens, idx) {
            cuts.push(before_attributes(text, tokens, idx));
        }
    }
    cuts.insert(0, 0);
    cuts.push(tokens.len());
    cuts.dedup();
    let piece = |pair: &[usize]| {
        let range = pair[0]..pair[1];
        let last = range.clone().next_back()?;
        Some(Piece { bytes: tokens[range.start].start..tokens[last].end, tokens: range })
    };
    cuts.windows(2).filter_map(piece).collect()
}

/// Whether a declaration, or something that was meant to be one, starts at this token.
fn starts_declaration(text: &str, tokens: &[Token], idx: usize) -> bool {
    let token = &tokens[idx];
    if token.depth != 0 || !token.leads || token.kind != Kind::Word {
        return false;
    }
    let word = &text[token.start..token.end];
    let at_margin = token.start == 0 || text.as_bytes()[token.start - 1] == b'\n';
    let is_complete = idx == 0 || ends_operand(&tokens[idx - 1], text);
    if is_item_word(word) {
        let named = tokens
            .get(idx + 1)
            .is_some_and(|next| matches!(next.kind, Kind::Word | Kind::Text | Kind::Unclosed));
        let called = text[token.end..].starts_with('(');
        return (named && is_complete) || (at_margin && !called);
    }
    at_margin && is_complete && !INFIX_WORDS.contains(&word) && !matches!(word, "as" | "to")
}

/// Goes back over `@name(…)` before a declaration.
fn before_attributes(text: &str, tokens: &[Token], idx: usize) -> usize {
    let (mut at, mut first) = (idx, idx);
    loop {
        let mut name = at.checked_sub(1);
        if let Some(close) = name
            && tokens[close].kind == Kind::Close
        {
            name = tokens[close].partner.and_then(|open| open.checked_sub(1));
        }
        let Some(sign) = name.and_then(|name| name.checked_sub(1)) else { return first };
        if tokens[sign + 1].kind != Kind::Word || !text[tokens[sign].start..].starts_with('@') {
            return first;
        }
        at = sign;
        // Behind an operator it is metadata: `= @topic`.
        let is_complete = at == 0 || ends_operand(&tokens[at - 1], text);
        if tokens[at].leads && is_complete {
            first = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{span::FileId, syntax::scan::scan};

    fn pieces(text: &str) -> Vec<&str> {
        let scan = scan(FileId(0), text);
        split(text, &scan).into_iter().map(|piece| &text[piece.bytes]).collect()
    }

    #[test]
    fn attributes_belong_to_what_follows() {
        assert_eq!(
            pieces("fn f() =\n @topic\n  @a @b(1)\n@c\nrule x { }\nrule y { }"),
            ["fn f() =\n @topic", "@a @b(1)\n@c\nrule x { }", "rule y { }"]
        );
    }

    #[test]
    fn lines_that_go_on_are_not_cut() {
        assert_eq!(
            pieces("rule x on a\nwhen .a and\ntest(.b)\n{ }\nconst A =\n  test(1)"),
            ["rule x on a\nwhen .a and\ntest(.b)\n{ }", "const A =\n  test(1)"]
        );
    }

    #[test]
    fn a_misspelt_declaration_stands_alone() {
        assert_eq!(pieces("source a\nrul x { }\nsink b"), ["source a", "rul x { }", "sink b"]);
    }
}
