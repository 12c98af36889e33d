//! Comma-separated rows: quotes, doubled quotes, line breaks inside quotes, either line ending.

/// Rows with the line they begin on. `Err` is the line of a quote that never ends; nothing follows it.
pub(super) fn records(text: &str) -> impl Iterator<Item = Result<(usize, Vec<String>), usize>> {
    let mut rest = text;
    let mut line = 1;
    std::iter::from_fn(move || {
        // Blank lines are no rows.
        while let Some(after) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) {
            rest = after;
            line += 1;
        }
        if rest.is_empty() {
            return None;
        }
        let begins = line;
        let mut cells = Vec::new();
        loop {
            let Some((cell, after)) = cell(rest) else {
                rest = "";
                return Some(Err(begins));
            };
            line += rest[..rest.len() - after.len()].matches('\n').count();
            cells.push(cell);
            if let Some(next) = after.strip_prefix(',') {
                rest = next;
                continue;
            }
            let ended = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n'));
            line += usize::from(ended.is_some());
            rest = ended.unwrap_or("");
            return Some(Ok((begins, cells)));
        }
    })
}

/// A cell and what follows it: a comma, a line's end, or nothing. `None` if its quote never ends.
fn cell(text: &str) -> Option<(String, &str)> {
    let plain_end = |text: &str| {
        let end = text.find([',', '\n']).unwrap_or(text.len());
        // The carriage return belongs to the line's end.
        if text[end..].starts_with('\n') && text[..end].ends_with('\r') { end - 1 } else { end }
    };
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = plain_end(text);
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut cell = String::new();
    loop {
        let quote = rest.find('"')?;
        cell.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        let Some(doubled) = rest.strip_prefix('"') else { break };
        cell.push('"');
        rest = doubled;
    }
    // Text after a closing quote is kept, as spreadsheets do.
    let end = plain_end(rest);
    cell.push_str(&rest[..end]);
    Some((cell, &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(usize, &[&str])]) {
        let rows: Vec<(usize, Vec<String>)> =
            records(text).collect::<Result<_, _>>().expect("every quote ends");
        let rows: Vec<(usize, Vec<&str>)> = rows
            .iter()
            .map(|(line, cells)| (*line, cells.iter().map(String::as_str).collect()))
            .collect();
        let expected: Vec<(usize, Vec<&str>)> =
            expected.iter().map(|(line, cells)| (*line, cells.to_vec())).collect();
        assert_eq!(rows, expected, "{text:?}");
    }

    #[test]
    fn cells_and_lines() {
        check("", &[]);
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,b\r\n1,\r\n\r\n,2", &[(1, &["a", "b"]), (2, &["1", ""]), (4, &["", "2"])]);
        check("\"a,\"\"x\"\"\",b\n", &[(1, &["a,\"x\"", "b"])]);
        check("\"two\nlines\",b\nc,d", &[(1, &["two\nlines", "b"]), (3, &["c", "d"])]);
        check("\"a\"b,\"\"", &[(1, &["ab", ""])]);
        check("ü,\"é\"\n", &[(1, &["ü", "é"])]);
    }

    proptest::proptest! {
        #[test]
        fn cells_that_were_quoted_come_back(rows in proptest::collection::vec(proptest::collection::vec("[a-c\",\r\n]{0,4}", 1..4), 0..4)) {
            let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let line = |cells: &Vec<String>| cells.iter().map(quoted).collect::<Vec<_>>().join(",");
            let text: String = rows.iter().map(|cells| line(cells) + "\r\n").collect();
            let read: Vec<Vec<String>> = records(&text).map(|row| row.expect("every quote ends").1).collect();
            proptest::prop_assert_eq!(read, rows);
        }

        #[test]
        fn any_text_ends(text in "[a\",\r\n]{0,40}") {
            let rows = records(&text).count();
            proptest::prop_assert!(rows <= text.len());
        }
    }

    #[test]
    fn a_quote_that_never_ends_names_its_line() {
        let rows: Vec<_> = records("a\nb\n\"c\nd").collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2], Err(3));
    }
}
