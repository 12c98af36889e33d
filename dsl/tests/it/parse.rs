//! Trees: what binds to what, and that every sample is read whole.

use logmon_dsl::{
    diagnostic::Diagnostic,
    render::render,
    span::{FileId, Sources},
    syntax::{
        ast::{ExprKind, File, Item, Piece, RecordField, SegKind, StmtKind, Tag},
        parse_expr, parse_file,
    },
};

/// The programs of the manual's samples.
pub(crate) const SAMPLES: &[(&str, &str)] = &[
    ("smallest.rules", include_str!("../samples/smallest.rules")),
    ("prod.rules", include_str!("../samples/prod.rules")),
    ("types.rules", include_str!("../samples/types.rules")),
    ("world.rules", include_str!("../samples/world.rules")),
    ("http.rules", include_str!("../samples/http.rules")),
    ("10-noise.rules", include_str!("../samples/10-noise.rules")),
    ("20-enrich.rules", include_str!("../samples/20-enrich.rules")),
    ("30-route.rules", include_str!("../samples/30-route.rules")),
];

/// The search bar's samples, one a line.
pub(crate) const SEARCHES: &str = include_str!("../samples/search.txt");

/// Prints a tree without its spans, so that trees compare as equations.
pub(crate) fn bare(tree: &impl std::fmt::Debug) -> String {
    let printed = format!("{tree:?}");
    let spans = regex::Regex::new(r"\d+:\d+\.\.\d+").expect("a regex");
    spans.replace_all(&printed, "_").into_owned()
}

#[track_caller]
fn draw(text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut sources = Sources::new();
    sources.add("sample.rules", text);
    render(diagnostics, &sources, false)
}

#[track_caller]
fn expr(text: &str) -> ExprKind {
    let (expr, diagnostics) = parse_expr(FileId(0), text);
    assert!(diagnostics.is_empty(), "{}", draw(text, &diagnostics));
    expr.kind
}

#[track_caller]
fn file(text: &str) -> File {
    let (file, diagnostics) = parse_file(FileId(0), text);
    assert!(diagnostics.is_empty(), "{}", draw(text, &diagnostics));
    file
}

#[track_caller]
fn same(left: &str, right: &str) {
    assert_eq!(bare(&expr(left)), bare(&expr(right)), "{left} = {right}");
}

#[track_caller]
fn differ(left: &str, right: &str) {
    assert_ne!(bare(&expr(left)), bare(&expr(right)), "{left} ≠ {right}");
}

#[test]
fn every_sample_is_read_whole() {
    for (_, text) in SAMPLES {
        let file = file(text);
        assert!(!file.items.is_empty());
        assert!(!bare(&file).contains("Error"), "no error nodes without a diagnostic");
    }
    for line in SEARCHES.lines() {
        expr(line);
    }
}

#[test]
fn operators_bind_as_the_manual_says() {
    same("a or b and c", "a or (b and c)");
    same("a and b or c and d", "(a and b) or (c and d)");
    same("not a and b", "(not a) and b");
    same("not a == b", "not (a == b)");
    same("not not a", "not (not a)");
    same(".s ?? 0 >= 500", "(.s ?? 0) >= 500");
    same("a ?? b + 1", "a ?? (b + 1)");
    same("a ?? b ?? c", "a ?? (b ?? c)");
    same("a + b * c - d", "(a + (b * c)) - d");
    same("a - b - c", "(a - b) - c");
    same("a * b / c % d", "((a * b) / c) % d");
    same("-a * b", "(-a) * b");
    same("-f(a).b", "-(f(a).b)");
    same("a and (b and c)", "a and b and c");
    same(
        "(.a.b ?? 0) * 2 > .c - 1 and .t[0] != 1",
        "(((.a.b ?? 0) * 2) > (.c - 1)) and (.t[0] != 1)",
    );
    same("if a { b } else if c { d } else { e }", "if a { b } else { if c { d } else { e } }");
    same("f(|x| x > 1 or y)", "f(|x| (x > 1 or y))");
    differ("a - (b - c)", "a - b - c");
    differ("(a or b) and c", "a or b and c");
    differ("not (a and b)", "not a and b");
}

#[test]
fn what_is_written_in_two_ways_is_one_tree() {
    same(r#".headers["x-id"]"#, r#".headers."x-id""#);
    same(".tags[ 0 ]", ".tags[0]");
    same(r#""a\n\u{42}\"""#, "\"a\\n\\u{42}\\\"\"");
    same("10KiB", "10240");
    same("1h30m", "90m");
    same("1_000", "1000");
    same("[a, b,]", "[a, b]");
    same("{ a: 1, }", "{ a: 1 }");
    same("f( a , b , )", "f(a, b)");
    same("a # why\n and b", "a and b");
    differ(".a.b", r#"."a.b""#);
    differ(r#""a""#, r#""a"i"#);
}

#[test]
fn lines_end_statements() {
    let text =
        "rule r on s {\n  .a = .b\n  .c = f(.d)\n  .e = g\n  .f = h[0]\n  tag \"x\"  return\n}";
    let file = file(text);
    let [Item::Rule(rule)] = file.items.as_slice() else { panic!("one rule") };
    assert_eq!(rule.body.stmts.len(), 6);
}

#[test]
fn literals_have_values() {
    assert_eq!(expr("-9223372036854775808"), ExprKind::Int(i64::MIN));
    assert_eq!(expr("- 5m"), ExprKind::Duration(-300_000_000_000));
    assert_eq!(expr("2.5e3"), ExprKind::Float(2500.0));
    assert_eq!(expr(r#""\u{1F600}\t""#), ExprKind::Text { value: "😀\t".to_owned(), fold: false });
    let ExprKind::Tagged { tag, raw, raw_span, flags } =
        expr(r#"re"a\d""i"#.replace("\"\"", "\"").as_str())
    else {
        panic!("a regex")
    };
    assert_eq!((tag, raw.as_str(), flags.as_str()), (Tag::Regex, r"a\d", "i"));
    assert_eq!((raw_span.start, raw_span.end), (3, 6));
    let ExprKind::Interpolated(pieces) = expr(r#"f"a{{b}}{ join(w, ", ") }c""#) else {
        panic!("pieces")
    };
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[0], Piece::Text("a{b}".to_owned()));
}

#[test]
fn paths_know_their_steps() {
    let ExprKind::Path(path) = expr(r#".items[*]."k8s.io/name"[-1].x"#) else { panic!("a path") };
    let kinds: Vec<SegKind> = path.segs.into_iter().map(|seg| seg.kind).collect();
    let field = |name: &str| SegKind::Field(name.to_owned());
    assert_eq!(
        kinds,
        [field("items"), SegKind::Each, field("k8s.io/name"), SegKind::Index(-1), field("x")]
    );
    let ExprKind::Index { .. } = expr(".tags[i]") else { panic!("an index") };
    let ExprKind::Record(fields) = expr("{ ...a, \"b c\": 1 }") else { panic!("a record") };
    assert!(matches!(fields[0], RecordField::Spread(_)));
}

#[test]
fn spans_hold_no_blanks_and_comments() {
    let text = "rule r on s { # why\n  .a = .b   # because\n  drop # end\n}\n# after\n";
    let file = file(text);
    let [Item::Rule(rule)] = file.items.as_slice() else { panic!("one rule") };
    let texts: Vec<&str> = rule.body.stmts.iter().map(|stmt| stmt.span.of(text)).collect();
    assert_eq!(texts, [".a = .b", "drop"]);
    assert!(matches!(rule.body.stmts[1].kind, StmtKind::Drop { reason: None }));
    assert_eq!(rule.span.of(text), text[..text.len() - 9].trim_end());
    let comments: Vec<&str> = file.comments.iter().map(|comment| comment.text.as_str()).collect();
    assert_eq!(comments, ["# why", "# because", "# end", "# after"]);
}
