//! What an editor is told: completion, hover, definitions, new names, on whole and on broken text.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use logmon_dsl::{
    assist::Assist,
    program::{Analysis, Reader, analyze},
    span::{FileId, Span},
};

struct Files(BTreeMap<PathBuf, String>);

impl Reader for Files {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }
}

/// Where the cursor stands in a text.
const CURSOR: &str = "$0";

/// A program of files, of which the first is the entry, and the place of the cursor in one of them.
fn program(files: &[(&str, &str)]) -> (Analysis, FileId, usize) {
    let mut at = None;
    let mut texts = BTreeMap::new();
    for (path, text) in files {
        if let Some(offset) = text.find(CURSOR) {
            at = Some((PathBuf::from(path), offset));
        }
        texts.insert(PathBuf::from(path), text.replacen(CURSOR, "", 1));
    }
    let (path, offset) = at.expect("one of the texts has a cursor");
    let analysis = analyze(Path::new(files[0].0), &Files(texts));
    let unit = analysis.loaded.units.iter().find(|unit| unit.path == path);
    let file = unit.expect("the file belongs to the program").ast.id;
    (analysis, file, offset)
}

const WORLD: &str = "\
type Event = {
  severity: severity coerce,
  service: string,
  http: { method: string?, status: int? coerce, \"user-agent\": string? },
  client: { ip: ip? sensitive }?,
  items: list<{ sku: string, n: int }>,
  ...
}
source web : Event
source raw : { line: string }
lookup users(string) -> { name: string, plan: string }?
sink logs : { ... }
sink audit : { ... }
# How slow is too slow.
const SLOW = 500
fn is_5xx(status: int?) -> bool = status >= 500 and status < 600
default route to logs
";

/// Labels of what may stand at the cursor, in the order given.
fn labels(text: &str) -> Vec<String> {
    let (analysis, file, offset) = program(&[("t.rules", &format!("{WORLD}{text}"))]);
    let (_, found) = Assist::new(&analysis).complete(file, offset);
    found.into_iter().map(|one| one.label).collect()
}

#[track_caller]
fn offers(text: &str, wanted: &[&str]) {
    let found = labels(text);
    for one in wanted {
        assert!(found.iter().any(|label| label == one), "`{one}` is not among {found:?}");
    }
}

#[track_caller]
fn offers_just(text: &str, wanted: &[&str]) {
    assert_eq!(labels(text), wanted, "{text}");
}

#[test]
fn fields_are_offered_below_their_path() {
    offers_just(
        "rule r on web when .$0 { drop }",
        &["severity", "service", "http", "client", "items"],
    );
    offers_just("rule r on web when .http.$0", &["method", "status", "user-agent"]);
    offers_just(
        "rule r on web when .http.st$0atus > 1 { drop }",
        &["method", "status", "user-agent"],
    );
    offers_just("rule r on raw { .$0 }", &["line"]);
    offers_just("rule r on web when .items[0].$0", &["sku", "n"]);
    offers_just("rule r on web when .items[*].$0 == \"x\" { drop }", &["sku", "n"]);
}

#[test]
fn fields_that_others_read_are_offered_behind_the_declared_ones() {
    let found = labels(
        "rule a on web when .region.name == \"x\" { drop }\nrule b on web when .$0 { drop }",
    );
    assert_eq!(found.last().map(String::as_str), Some("region"), "{found:?}");
    offers_just(
        "rule a on web when .region.name == \"x\" { drop }\nrule b on web when .region.$0 { drop }",
        &["name"],
    );
}

#[test]
fn fields_that_rules_wrote_are_known_behind_them() {
    offers(
        "rule a on web { .geo = { city: \"x\", asn: 1 } }\nrule b on web when .$0 { drop }",
        &["geo", "service"],
    );
    offers("rule a on web {\n  .seen.by = \"a\"\n  .$0\n}\n", &["seen", "service"]);
}

#[test]
fn locals_members_and_options() {
    offers_just(
        "rule r on web {\n  let user = users(.service) else { return }\n  .plan = user.$0\n}",
        &["name", "plan"],
    );
    let found = labels("rule r on web {\n  let user = .service\n  .plan = $0\n}");
    assert_eq!(found[0], "user", "the nearest name comes first");
    for known in ["SLOW", "is_5xx", "users", "lower", "match"] {
        assert!(found.iter().any(|label| label == known), "{known}");
    }
    let found = labels("rule r on web { .t = truncate_time(now(), $0) }");
    assert!(!found.is_empty());
    let found = labels("rule r on web when .severity >= $0 { drop }");
    assert_eq!(found[..3], ["trace", "debug", "info"]);
    let found = labels("rule r on web when .severity in [error, $0] { drop }");
    assert_eq!(found[..3], ["trace", "debug", "info"]);
}

#[test]
fn members_and_aggregates_are_offered_where_they_are_meant() {
    let tiers = "enum tier ordered { free, paid }\nsource shop : { tier: tier, ms: int }\n";
    let found = labels(&format!("{tiers}rule r on shop when .tier >= $0 {{ drop }}"));
    assert_eq!(found[..2], ["free", "paid"]);
    offers(
        &format!("{tiers}window w on shop {{\n  over 1m\n  let slow = $0\n}}"),
        &["quantile", "count", "uniq"],
    );
    offers(&format!("{tiers}window w on shop {{\n  $0\n}}"), &["over", "by", "let", "route"]);
}

#[test]
fn names_are_offered_where_they_belong() {
    offers_just("rule r on web { route to $0 }", &["audit", "logs"]);
    offers_just("rule r on web { route to logs, $0 }", &["audit", "logs"]);
    offers_just("rule r on $0", &["raw", "web", "any"]);
    offers_just("rule r on web { drop }\ntest \"t\" { expect dropped by $0 }", &["r"]);
    offers_just("test \"t\" { mock $0 }", &["users"]);
    offers("source more : $0", &["Event", "int", "Log"]);
    offers("rule r on web when .http is $0", &["absent", "present", "int"]);
    offers("rule r on web { .x = @$0 }", &["topic", "offset"]);
    offers("@$0\nrule r on web { drop }", &["owner", "allow"]);
    offers("$0", &["rule", "source", "test"]);
    offers("rule r on web {\n  $0\n}", &["drop", "let", "route", "sample"]);
    offers("test \"t\" {\n  $0\n}", &["given", "expect", "mock"]);
    offers("test \"t\" {\n  expect $0\n}", &["dropped", "routed", "passed"]);
    offers_just(
        "test \"t\" {\n  given on web { http: { $0 } }\n}",
        &["method", "status", "user-agent"],
    );
}

#[test]
fn nothing_is_offered_in_text_and_comments() {
    offers_just("# .http.$0", &[]);
    offers_just("rule r on web when .service == \"a.$0\" { drop }", &[]);
    offers_just("rule $0", &[]);
}

#[test]
fn keys_that_are_no_names_are_inserted_in_quotes() {
    let text = format!("{WORLD}rule r on web when .http.$0");
    let (analysis, file, offset) = program(&[("t.rules", &text)]);
    let (replaced, found) = Assist::new(&analysis).complete(file, offset);
    let agent = found.iter().find(|one| one.label == "user-agent").expect("it is declared");
    assert_eq!(agent.insert, "\"user-agent\"");
    assert_eq!(agent.detail, "string?");
    assert_eq!((replaced.start, replaced.end), (offset as u32, offset as u32));
}

#[track_caller]
fn hovers(text: &str, wanted: &str) {
    let (analysis, file, offset) = program(&[("t.rules", &format!("{WORLD}{text}"))]);
    let found = Assist::new(&analysis).hover(file, offset).expect("something stands there");
    assert!(found.text.contains(wanted), "`{wanted}` is not in:\n{}", found.text);
}

#[test]
fn hover_says_types_and_documents() {
    hovers("rule r on web when .http.sta$0tus > 1 { drop }", ".http.status: int? coerce");
    hovers("rule r on web when .ht$0tp.status > 1 { drop }", ".http: {");
    hovers("rule r on web when .client.i$0p is present { drop }", "sensitive");
    hovers("rule r on web when is_$05xx(.http.status) { drop }", "fn is_5xx(status: int?) -> bool");
    hovers("rule r on web when .http.status > SL$0OW { drop }", "How slow is too slow.");
    hovers("rule r on web { .s = low$0er(.service) }", "lower(");
    hovers("rule r on web { let co$0py = .service  .s = copy }", "copy: string");
    hovers("rule r on web { let copy = .service  .s = co$0py }", "copy: string");
    hovers("rule r on web { dr$0op }", "Ends the event");
    hovers("rule r on web { .s = @to$0pic }", "@topic: string");
    hovers("rule na$0med on web { drop }", "rule t/named");
}

/// The text of a place.
fn text(analysis: &Analysis, at: Span) -> &str {
    analysis.loaded.sources.text(at)
}

#[test]
fn definitions_are_found_across_files() {
    let files = [
        (
            "main.rules",
            "use \"world.rules\" as w\nuse \"flat.rules\"\nrule r on w::web when .http.status >= LIM$0IT { route to w::logs }\n",
        ),
        ("world.rules", WORLD.trim_end_matches("default route to logs\n")),
        ("flat.rules", "const LIMIT = 5\n"),
    ];
    let (analysis, file, offset) = program(&files);
    let found = Assist::new(&analysis).definition(file, offset).expect("it is declared");
    assert_eq!(text(&analysis, found), "LIMIT");
    assert_ne!(found.file, file);
    let main = files[0].1.replace(CURSOR, "");
    let assist = Assist::new(&analysis);
    for (word, declared) in [("web", "web"), ("logs", "logs"), ("status", "status"), ("w::", "w")] {
        let at = main.find(word).expect("it stands there") + 1;
        let found = assist.definition(file, at).expect(word);
        assert_eq!(text(&analysis, found), declared, "{word}");
    }
    let at = main.find("\"world").expect("it stands there") + 2;
    let found = assist.definition(file, at).expect("the file");
    assert_eq!((found.start, found.end), (0, 0));
}

#[test]
fn new_names_reach_every_mention_and_no_other() {
    let main = "use \"lib.rules\"\nuse \"lib.rules\" as l\nsource s\nsink k : { ... }\nrule r on s when is_b$0ad(.x) and l::is_bad(.y) {\n  let is_bad = 1\n  .is_bad = is_bad\n  route to k\n}\n";
    let lib = "fn is_bad(x: string?) -> bool = x == \"is_bad\"\n";
    let (analysis, file, offset) = program(&[("main.rules", main), ("lib.rules", lib)]);
    let assist = Assist::new(&analysis);
    let places = assist.rename(file, offset, "is_worse").expect("it can be renamed");
    assert_eq!(places.len(), 3, "two calls and the declaration: {places:?}");
    assert!(places.iter().all(|at| text(&analysis, *at) == "is_bad"));
    let local = main.replace(CURSOR, "").rfind("= is_bad").expect("it stands there") + 3;
    let places = assist.rename(file, local, "n").expect("a local can be renamed");
    assert_eq!(places.len(), 2, "the `let` and its use, not the field: {places:?}");
    for (name, why) in [("drop", "no name"), ("2x", "no name"), ("", "no name")] {
        let said = assist.rename(file, offset, name).expect_err(name);
        assert!(said.contains(why), "{said}");
    }
    let field = main.replace(CURSOR, "").find(".is_bad").expect("it stands there") + 2;
    assert!(assist.rename(file, field, "z").expect_err("a field").contains("producer"));
}

#[test]
fn rules_are_renamed_with_their_tests() {
    let text = format!(
        "{WORLD}rule no$0isy on web {{ drop }}\ntest \"t\" {{\n  given on web {{}}\n  expect dropped by noisy\n  expect dropped_by(noisy) == 1\n}}\n"
    );
    let (analysis, file, offset) = program(&[("t.rules", &text)]);
    let places = Assist::new(&analysis).rename(file, offset, "quiet").expect("it can be renamed");
    assert_eq!(places.len(), 3, "{places:?}");
}

#[test]
fn names_that_are_taken_are_refused() {
    let text = format!("{WORLD}rule a$0 on web {{ drop }}\nrule b on web {{ route to logs }}\n");
    let (analysis, file, offset) = program(&[("t.rules", &text)]);
    let assist = Assist::new(&analysis);
    let said = assist.rename(file, offset, "b").expect_err("there is a rule of that name");
    assert!(said.contains("`b` is declared already: t.rules:"), "{said}");
    let sink = text.replace(CURSOR, "").find("sink logs").expect("it stands there") + 6;
    let said = assist.rename(file, sink, "audit").expect_err("there is a sink of that name");
    assert!(said.contains("`audit` is declared already"), "{said}");
    assert_eq!(assist.rename(file, sink, "web").map(|places| places.len()), Ok(3), "a source");
}

#[test]
fn outlines_and_signatures() {
    let text =
        format!("{WORLD}group g first {{\n  rule a on web {{ drop }}\n}}\ntest \"it\" {{ $0 }}\n");
    let (analysis, file, _) = program(&[("t.rules", &text)]);
    let symbols = Assist::new(&analysis).symbols(file);
    let names: Vec<&str> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
    assert_eq!(
        names,
        ["Event", "web", "raw", "users", "logs", "audit", "SLOW", "is_5xx", "g", "it"]
    );
    assert_eq!(symbols[8].inside[0].name, "a");

    let text = format!("{WORLD}rule r on web {{ .s = replace(.service, \"a\", $0) }}");
    let (analysis, file, offset) = program(&[("t.rules", &text)]);
    let signature = Assist::new(&analysis).signature(file, offset).expect("a call stands there");
    assert_eq!(signature.active, 2);
    assert!(signature.text.starts_with("replace("), "{}", signature.text);
    let text = format!("{WORLD}rule r on web when is_5xx($0) {{ drop }}");
    let (analysis, file, offset) = program(&[("t.rules", &text)]);
    let signature = Assist::new(&analysis).signature(file, offset).expect("a call stands there");
    assert_eq!(signature.text, "is_5xx(status: int?) -> bool");
}

#[test]
fn every_place_of_any_text_has_an_answer() {
    let whole = format!(
        "{WORLD}rule r on web when .http.status in [1, 2] {{\n  let {{ name, plan }} = users(.service) else {{ return }}\n  .u = f\"{{name}}-{{plan}}\"\n  route to logs, audit(key: \"x\")\n}}\n"
    );
    let mut texts = vec![whole.clone()];
    // Cut off anywhere, as text is while it is typed.
    let mut cut = 0;
    while cut < whole.len() {
        cut += 17;
        if whole.is_char_boundary(cut.min(whole.len())) {
            texts.push(whole[..cut.min(whole.len())].to_owned());
        }
    }
    for text in texts {
        let files = Files([(PathBuf::from("t.rules"), text.clone())].into());
        let analysis = analyze(Path::new("t.rules"), &files);
        let assist = Assist::new(&analysis);
        for offset in (0..=text.len()).step_by(3).chain([text.len()]) {
            let (replaced, _) = assist.complete(FileId(0), offset);
            assert!(replaced.start <= replaced.end && replaced.end as usize <= text.len());
            let _hover = assist.hover(FileId(0), offset);
            let _definition = assist.definition(FileId(0), offset);
            let _mentions = assist.mentions(FileId(0), offset);
            let _signature = assist.signature(FileId(0), offset);
        }
    }
}
