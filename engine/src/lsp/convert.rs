//! Places and paths as the protocol writes them: lines from 0, columns in UTF-16 units, files as URIs.

use std::path::{Path, PathBuf};

use lsp_types::{Position, Range, Uri};

/// A byte offset as line and column.
pub(super) fn position(text: &str, offset: usize) -> Position {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].encode_utf16().count();
    Position { line: line as u32, character: column as u32 }
}

/// Line and column as a byte offset. What lies behind a line's end is its end.
pub(super) fn offset(text: &str, position: Position) -> usize {
    let mut start = 0;
    for _ in 0..position.line {
        match text[start..].find('\n') {
            Some(len) => start += len + 1,
            None => return text.len(),
        }
    }
    let line = text[start..].split('\n').next().unwrap_or_default();
    let mut units = position.character as usize;
    for (at, letter) in line.char_indices() {
        if units < letter.len_utf16() {
            return start + at;
        }
        units -= letter.len_utf16();
    }
    start + line.trim_end_matches('\r').len()
}

/// Bytes as a range.
pub(super) fn range(text: &str, start: u32, end: u32) -> Range {
    Range { start: position(text, start as usize), end: position(text, end as usize) }
}

/// A file's path; nothing for what is no file, such as an editor's unnamed buffer.
pub(super) fn path(uri: &Uri) -> Option<PathBuf> {
    url::Url::parse(uri.as_str()).ok()?.to_file_path().ok()
}

/// A file as a URI.
pub(super) fn uri(path: &Path) -> Option<Uri> {
    url::Url::from_file_path(path).ok()?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_utf_16() {
        let text = "ab\nz\u{f6}\u{1f600}x\r\nend";
        for offset_there in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let there = position(text, offset_there);
            let back = offset(text, there);
            let at_line_end = text[offset_there..].starts_with("\n") && offset_there > 3;
            assert!(back == offset_there || at_line_end, "{offset_there} {there:?} {back}");
        }
        let x = text.find('x').unwrap();
        assert_eq!(position(text, x), Position { line: 1, character: 4 });
        assert_eq!(offset(text, Position { line: 0, character: 99 }), 2);
        assert_eq!(offset(text, Position { line: 99, character: 0 }), text.len());
    }

    #[test]
    fn paths_go_there_and_back() {
        let there = Path::new("/tmp/a b/\u{f6}.rules");
        assert_eq!(path(&uri(there).unwrap()).as_deref(), Some(there));
        assert_eq!(path(&"untitled:Untitled-1".parse().unwrap()), None);
    }
}
