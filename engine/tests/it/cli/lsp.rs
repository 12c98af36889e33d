//! The language server as an editor meets it: the real binary, real messages.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use super::Folder;

/// An editor with one folder open.
struct Editor {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    folder: Folder,
    n_sent: u64,
    /// What was said of each file last.
    diagnostics: BTreeMap<String, Vec<Value>>,
}

impl Editor {
    fn new(folder: Folder) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
            .args(["lsp", "--stdio"])
            .current_dir(&folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let diagnostics = BTreeMap::new();
        let mut editor = Self { child, stdin, stdout, folder, n_sent: 0, diagnostics };
        let root = format!("file://{}", editor.folder.0.display());
        let answer = editor.ask(
            "initialize",
            &json!({ "capabilities": {}, "workspaceFolders": [{ "uri": root, "name": "rules" }] }),
        );
        assert_eq!(answer["serverInfo"]["name"], "logmon-engine");
        editor.tell("initialized", &json!({}));
        editor
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}/{name}", self.folder.0.display())
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let stdin = self.stdin.as_mut().expect("it is open");
        write!(stdin, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server listens");
        stdin.flush().expect("the server listens");
    }

    fn tell(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn receive(&mut self) -> Value {
        let mut len = 0;
        loop {
            let mut line = String::new();
            self.stdout.read_line(&mut line).expect("the server speaks");
            assert!(!line.is_empty(), "the server hung up");
            match line.trim().split_once(": ") {
                Some(("Content-Length", number)) => len = number.parse().expect("a length"),
                Some(_) => {}
                None => break,
            }
        }
        let mut text = vec![0; len];
        self.stdout.read_exact(&mut text).expect("the server says all of it");
        serde_json::from_slice(&text).expect("messages are JSON")
    }

    fn note(&mut self, message: &Value) {
        if message["method"] == "textDocument/publishDiagnostics" {
            let uri = message["params"]["uri"].as_str().expect("a file").to_owned();
            let name = uri.rsplit('/').next().expect("a name").to_owned();
            let found = message["params"]["diagnostics"].as_array().expect("a list").clone();
            self.diagnostics.insert(name, found);
        }
    }

    /// The whole answer to a request.
    fn answer(&mut self, method: &str, params: &Value) -> Value {
        self.n_sent += 1;
        let id = self.n_sent;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == id {
                return message;
            }
            self.note(&message);
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Asks about a place that is named by the text before it.
    fn at(&mut self, method: &str, name: &str, text: &str, behind: &str) -> Value {
        let params = self.place(name, text, behind);
        self.ask(method, &params)
    }

    fn place(&self, name: &str, text: &str, behind: &str) -> Value {
        let end = text.find(behind).expect("it stands there") + behind.len();
        let line = text[..end].matches('\n').count();
        let start = text[..end].rfind('\n').map_or(0, |at| at + 1);
        let character = text[start..end].encode_utf16().count();
        json!({
            "textDocument": { "uri": self.uri(name) },
            "position": { "line": line, "character": character },
        })
    }

    fn open(&mut self, name: &str, text: &str) {
        let uri = self.uri(name);
        let document = json!({ "uri": uri, "languageId": "rules", "version": 1, "text": text });
        self.tell("textDocument/didOpen", &json!({ "textDocument": document }));
    }

    fn change(&mut self, name: &str, text: &str) {
        let uri = self.uri(name);
        let params = json!({
            "textDocument": { "uri": uri, "version": 2 },
            "contentChanges": [{ "text": text }],
        });
        self.tell("textDocument/didChange", &params);
    }

    /// Waits until something is said of a file.
    fn diagnostics(&mut self, name: &str) -> Vec<Value> {
        loop {
            if let Some(found) = self.diagnostics.remove(name) {
                return found;
            }
            let message = self.receive();
            self.note(&message);
        }
    }

    /// Says goodbye; the server ends with 0.
    fn end(mut self) {
        self.ask("shutdown", &Value::Null);
        self.tell("exit", &Value::Null);
        self.stdin.take();
        let status = self.child.wait().expect("the server ends");
        assert_eq!(status.code(), Some(0));
    }
}

const WORLD: &str = "type Event = {\n  service: string,\n  http: { status: int? coerce },\n  ...\n}\nsource web: Event\nsink logs: { ... }\n";
const RULES: &str = "rule slow on web when .http.status >= 500 {\n  drop as \"slow\"\n}\n";
const ENTRY: &str = "use \"world.rules\"\n\ninclude \"rules.rules\"\n\ndefault route to logs\n";

fn folder(name: &str) -> Folder {
    let rules = format!("use \"world.rules\"\n\n{RULES}");
    Folder::new(name)
        .with("world.rules", WORLD)
        .with("main.rules", ENTRY)
        .with("rules.rules", rules)
}

#[test]
fn mistakes_are_shown_while_they_are_typed_and_go_away() {
    let mut editor = Editor::new(folder("lsp-mistakes"));
    let right = format!("use \"world.rules\"\n\n{RULES}");
    editor.open("rules.rules", &right);
    assert_eq!(editor.diagnostics("rules.rules"), Vec::<Value>::new());

    editor.change("rules.rules", &right.replace(".http.status >= 500", "\u{f6}"));
    assert_eq!(editor.diagnostics("rules.rules")[0]["code"], "E100");

    editor.change("rules.rules", &right.replace("status", "statsu"));
    let found = editor.diagnostics("rules.rules");
    assert_eq!(found[0]["code"], "E201", "{found:?}");
    assert_eq!(found[0]["range"]["start"], json!({ "line": 2, "character": 28 }));
    let range = found[0]["range"].clone();
    let uri = editor.uri("rules.rules");
    let fixes = editor.ask(
        "textDocument/codeAction",
        &json!({ "textDocument": { "uri": uri }, "range": range, "context": { "diagnostics": [] } }),
    );
    let edits = fixes[0]["edit"]["changes"][&uri].as_array().expect("a fix");
    assert_eq!(edits[0]["newText"], "status");

    editor.change("rules.rules", &right);
    assert_eq!(editor.diagnostics("rules.rules"), Vec::<Value>::new());
    editor.end();
}

#[test]
fn a_change_in_one_open_file_is_seen_in_another() {
    let mut editor = Editor::new(folder("lsp-files"));
    let rules = format!("use \"world.rules\"\n\n{RULES}");
    editor.open("rules.rules", &rules);
    assert!(editor.diagnostics("rules.rules").is_empty());
    editor.open("world.rules", &WORLD.replace("status", "code"));
    let found = editor.diagnostics("rules.rules");
    assert_eq!(found[0]["code"], "E201", "{found:?}");
    // Closed without saving: what is on disk counts again.
    let uri = editor.uri("world.rules");
    editor.tell("textDocument/didClose", &json!({ "textDocument": { "uri": uri } }));
    assert!(editor.diagnostics("rules.rules").is_empty());
    editor.end();
}

#[test]
fn completion_hover_definition_and_signatures() {
    let mut editor = Editor::new(folder("lsp-ask"));
    let text = "use \"world.rules\"\n\nrule r on web when .http.\n";
    editor.open("rules.rules", text);
    let found = editor.at("textDocument/completion", "rules.rules", text, "when .http.");
    let items = found["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "{found}");
    assert_eq!(
        (&items[0]["label"], &items[0]["detail"]),
        (&json!("status"), &json!("int? coerce"))
    );

    let text = "use \"world.rules\"\n\nrule r on web when \"\u{1f600}\" == lower(.service) {\n  route to logs\n}\n";
    editor.change("rules.rules", text);
    let hover = editor.at("textDocument/hover", "rules.rules", text, "lower(.serv");
    assert!(hover["contents"]["value"].to_string().contains(".service: string"), "{hover}");
    let hover = editor.at("textDocument/hover", "rules.rules", text, "== low");
    assert!(hover["contents"]["value"].to_string().contains("lower("), "{hover}");
    let there = editor.at("textDocument/definition", "rules.rules", text, "route to lo");
    assert!(there["uri"].as_str().expect("a file").ends_with("/world.rules"), "{there}");
    assert_eq!(there["range"]["start"], json!({ "line": 6, "character": 5 }));
    let there = editor.at("textDocument/definition", "rules.rules", text, "lower(.serv");
    assert_eq!(there["range"]["start"], json!({ "line": 1, "character": 2 }));
    let help = editor.at("textDocument/signatureHelp", "rules.rules", text, "lower(");
    assert!(help["signatures"][0]["label"].as_str().expect("text").starts_with("lower("));
    let sinks = editor.at("textDocument/completion", "rules.rules", text, "route to ");
    assert_eq!(sinks["items"][0]["label"], "logs");
    editor.end();
}

#[test]
fn names_change_in_all_files_and_fields_do_not() {
    let mut editor = Editor::new(folder("lsp-rename"));
    let text = format!("use \"world.rules\"\n\n{RULES}rule all on web {{\n  route to logs\n}}\n");
    editor.open("rules.rules", &text);
    let mut params = editor.place("rules.rules", &text, "route to lo");
    params["newName"] = json!("archive");
    let edit = editor.ask("textDocument/rename", &params);
    let changes = edit["changes"].as_object().expect("changes");
    assert_eq!(changes.len(), 3, "the declaration, the route and the default route: {edit}");

    let params = editor.place("rules.rules", &text, ".http.sta");
    let refused = editor.answer("textDocument/prepareRename", &params);
    let why = refused["error"]["message"].as_str().expect("a refusal");
    assert!(why.contains("producer"), "{why}");

    let mut params = editor.place("rules.rules", &text, "route to lo");
    params["context"] = json!({ "includeDeclaration": true });
    let found = editor.ask("textDocument/references", &params);
    assert_eq!(found.as_array().map(Vec::len), Some(3), "{found}");
    editor.end();
}

#[test]
fn files_are_formatted_and_outlined() {
    let mut editor = Editor::new(folder("lsp-format"));
    let crooked =
        "use \"world.rules\"\nrule  slow on web when .http.status>=500 { drop as \"slow\" }\n";
    editor.open("rules.rules", crooked);
    let uri = editor.uri("rules.rules");
    let options = json!({ "tabSize": 2, "insertSpaces": true });
    let params = json!({ "textDocument": { "uri": uri }, "options": options });
    let edits = editor.ask("textDocument/formatting", &params);
    let styled = edits[0]["newText"].as_str().expect("a text").to_owned();
    assert!(styled.contains("when .http.status >= 500"), "{styled}");
    editor.change("rules.rules", &styled);
    assert_eq!(editor.ask("textDocument/formatting", &params), json!([]), "it has the style now");
    editor.change("rules.rules", "rule {");
    assert_eq!(editor.ask("textDocument/formatting", &params), Value::Null, "not readable");
    editor.change("rules.rules", &styled);
    let document = json!({ "textDocument": { "uri": uri } });
    let symbols = editor.ask("textDocument/documentSymbol", &document);
    assert_eq!(symbols[0]["name"], "slow");
    editor.end();
}

#[test]
fn nonsense_is_answered_and_ends_nothing() {
    let mut editor = Editor::new(folder("lsp-nonsense"));
    let refused = editor.answer("textDocument/fly", &json!({}));
    assert_eq!(refused["error"]["code"], -32601);
    let refused = editor.answer("textDocument/hover", &json!({ "x": 1 }));
    assert_eq!(refused["error"]["code"], -32602);
    editor.tell("textDocument/didOpen", &json!({ "y": 2 }));
    let nowhere = json!({
        "textDocument": { "uri": "untitled:Untitled-1" },
        "position": { "line": 7, "character": 7 },
    });
    assert_eq!(editor.ask("textDocument/hover", &nowhere), Value::Null);
    editor.open("rules.rules", &"rule { ".repeat(5_000));
    assert!(!editor.diagnostics("rules.rules").is_empty());
    let far = json!({
        "textDocument": { "uri": editor.uri("rules.rules") },
        "position": { "line": 4_000_000, "character": 4_000_000 },
    });
    editor.ask("textDocument/completion", &far);
    editor.end();
}

#[test]
fn routes_are_held_to_the_columns_that_were_pulled() {
    let rules = "source web: { n: ip?, ... }\nsink logs: table(\"logs\")\ndefault route to logs\n";
    let lock =
        "[[table]]\nname = \"logs\"\ncolumns = [{ name = \"n\", type = \"Nullable(Int64)\" }]\n";
    let folder = Folder::new("lsp-lock").with("main.rules", rules);
    std::fs::create_dir_all(folder.0.join("schemas")).expect("a folder");
    let mut editor = Editor::new(folder.with("schemas/clickhouse.lock", lock));
    editor.open("main.rules", rules);
    let found = editor.diagnostics("main.rules");
    let misfit = found.iter().find(|it| it["code"] == "E401").expect("the column is no address");
    let said = misfit["message"].as_str().expect("a message");
    assert!(said.contains("`n`"), "{said}");

    editor.change("main.rules", &rules.replace("n: ip?", "n: int?"));
    let found = editor.diagnostics("main.rules");
    assert!(found.iter().all(|it| it["code"] != "E401"), "{found:?}");
    editor.end();
}
