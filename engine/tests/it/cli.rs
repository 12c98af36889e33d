//! The command line as a user meets it: the real binary, files, standard input, exit codes.

mod lsp;
mod tools;

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// A folder of its own, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("logmon-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.join(name), bytes).expect("a file can be written");
        self
    }

    /// Runs the binary in the folder.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Seen {
        let mut child = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.to_vec();
        // A command that reads no input closes the pipe; that is no failure.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("the binary ends");
        writer.join().expect("the writer does not panic");
        Seen(output)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

struct Seen(Output);

impl Seen {
    fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("output is UTF-8")
    }

    fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).expect("errors are UTF-8")
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = self.out();
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

/// A program that says where every event came to.
const PASS: &str = "source app : { ... }\nsink logs : { ... }\ndefault route to logs\n";

#[test]
fn every_line_has_its_line_whatever_it_holds() {
    let folder = Folder::new("lines").with("t.rules", PASS);
    let deep = [b"{\"a\":".repeat(400), b"1".to_vec(), b"}".repeat(400)].concat();
    let large = [b"{\"a\":\"".to_vec(), b"x".repeat(2 << 20), b"\"}".to_vec()].concat();
    let cases: &[(&[u8], &str)] = &[
        (b"{\"a\":1}", "delivered"),
        (b"", "empty"),
        (b"   ", "not_json"),
        (b"null", "not_object"),
        (b"[{}]", "not_object"),
        (b"{\"a\":1}{\"a\":1}", "not_json"),
        (b"{\"a\":01}", "not_json"),
        (b"{\"a\":1e400}", "not_json"),
        (b"{\"a\":\"\\ud800\"}", "not_json"),
        (b"{\"a\":\"\xff\"}", "not_utf8"),
        (&deep, "too_deep"),
        (&large, "too_large"),
        (b"{\"a\":1,\"a\":2}\r", "delivered"),
    ];
    let input: Vec<&[u8]> = cases.iter().map(|(line, _)| *line).collect();
    let seen = folder.run(&["eval", "t.rules"], &input.join(&b'\n'));
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    let lines = seen.lines();
    assert_eq!(lines.len(), cases.len());
    for (index, (line, (_, wanted))) in lines.iter().zip(cases).enumerate() {
        assert_eq!(line["line"], index + 1);
        let shown = if line["fate"] == "delivered" { &line["fate"] } else { &line["reason"] };
        assert_eq!(shown, wanted, "{line}");
    }
    assert_eq!(lines[12]["routes"][0]["event"]["a"], 2, "the last of two keys wins");
}

#[test]
fn rules_that_cannot_be_read_are_a_mistake_of_the_command_line() {
    let folder = Folder::new("unread").with("bad.rules", b"source app\xff");
    for name in ["gone.rules", "bad.rules", "."] {
        for command in ["check", "test", "explain", "eval", "fmt"] {
            let seen = folder.run(&[command, name], b"");
            assert_eq!(seen.code(), Some(2), "{command} {name}: {}", seen.err());
            assert!(seen.err().contains(name), "{command} {name}: {}", seen.err());
        }
    }
    let folder = folder.with("uses.rules", "use \"gone.rules\"\n");
    let seen = folder.run(&["check", "uses.rules"], b"");
    assert_eq!(seen.code(), Some(1), "the rules are wrong, not the command: {}", seen.err());
}

#[test]
fn events_need_a_source() {
    let folder = Folder::new("source").with("t.rules", "sink logs : { ... }\n");
    let seen = folder.run(&["eval", "t.rules"], b"{}\n");
    assert_eq!(seen.code(), Some(2));
    assert!(seen.err().contains("t.rules declares no source"), "{}", seen.err());
}

#[test]
fn json_is_printed_whether_rules_compile_or_not() {
    let folder = Folder::new("json")
        .with("bad.rules", "source app\nrule r { .a = }\n")
        .with("good.rules", format!("{PASS}test \"t\" {{ given {{}}  expect dropped }}\n"));
    let seen = folder.run(&["test", "--json", "bad.rules"], b"");
    assert_eq!(seen.code(), Some(1), "{}", seen.err());
    let report: serde_json::Value = serde_json::from_str(&seen.out()).unwrap();
    assert_eq!(report["tests"], serde_json::json!([]));
    assert_eq!(report["diagnostics"][0]["code"], "E100");
    assert_eq!(report["diagnostics"][0]["at"]["line"], 2);
    let seen = folder.run(&["test", "--json", "good.rules"], b"");
    assert_eq!(seen.code(), Some(1), "{}", seen.err());
    let report: serde_json::Value = serde_json::from_str(&seen.out()).unwrap();
    assert_eq!((&report["failed"], &report["tests"][0]["name"]), (&1.into(), &"t".into()));
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let folder = Folder::new("closed").with("t.rules", PASS);
    for arguments in [
        &["config", "schema"][..],
        &["check", "--json", "t.rules"],
        &["explain", "t.rules"],
        &["test", "t.rules"],
        &["eval", "t.rules"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
            .args(arguments)
            .current_dir(&folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().expect("it is piped");
        let _closed = stdin.write_all(&b"{}\n".repeat(2_000));
        drop(stdin);
        let output = child.wait_with_output().expect("the binary ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    }
}

#[test]
fn sure_repairs_are_written() {
    let text = "source app\nsink logs : table(\"logs\")\nrule a when .a = 1 && .message matches re\"^GET \" { drop }\nrule b when !(.b == 'x') { drop }\ndefault route to logs\n";
    let folder = Folder::new("fix").with("t.rules", text);
    let seen = folder.run(&["check", "--fix", "t.rules"], b"");
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    let repaired = fs::read_to_string(folder.0.join("t.rules")).expect("the file is there");
    assert_eq!(
        repaired,
        "source app\nsink logs : table(\"logs\")\nrule a when .a == 1 and .message starts_with \"GET \" { drop }\nrule b when not (.b == \"x\") { drop }\ndefault route to logs\n"
    );
    assert!(!seen.err().contains("error["), "{}", seen.err());
}

#[test]
fn what_cannot_be_read_is_not_repaired() {
    let text = "source app\nsink logs : table(\"logs\")\nrule a when .a && .b { drop }\nrule b when { drop\n";
    let folder = Folder::new("unread").with("t.rules", text);
    let seen = folder.run(&["check", "--fix", "t.rules"], b"");
    assert_eq!(seen.code(), Some(1));
    let left = fs::read_to_string(folder.0.join("t.rules")).expect("the file is there");
    assert_eq!(left, text);
}

#[test]
fn codes_are_explained() {
    let folder = Folder::new("codes");
    let seen = folder.run(&["check", "--explain", "e304"], b"");
    assert_eq!(seen.code(), Some(0));
    assert!(seen.out().starts_with("# E304: "), "{}", seen.out());
    assert_eq!(folder.run(&["check", "--explain", "E999"], b"").code(), Some(2));
}

#[test]
fn tests_are_looked_at_when_asked() {
    let text = "source app\nsink logs : table(\"logs\")\ndefault route to logs\ngroup g first {\n  rule all when .a is present { tag \"all\" }\n  rule five when .a > 5 and .b is present { tag \"five\" }\n}\nrule never when .z == 1 { tag \"z\" }\ntest \"five\" { given x5 { a: 7, b: 1 } given { a: 8, b: 1 } given { a: 9, b: 1 } given { a: 7, b: 2 } given { a: 7, b: 3 } expect routed }\ntest \"nothing\" { given { a: 1 } }\n";
    let folder = Folder::new("looked").with("t.rules", text);
    let plain = folder.run(&["check", "t.rules"], b"");
    assert!(!plain.err().contains("W701"), "{}", plain.err());
    let seen = folder.run(&["check", "--tests", "t.rules"], b"").err();
    assert!(seen.contains("W701]: no test reaches the rule `never`"), "{seen}");
    assert!(seen.contains("W701]: this test expects nothing"), "{seen}");
    assert!(seen.contains("W303]: of 5 events that `five` asks for"), "{seen}");
}
