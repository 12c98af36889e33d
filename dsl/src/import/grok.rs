//! A grok pattern as a `pat"…"`, where each capture ends at a text that stands behind it.

use crate::functions::Pattern;

/// What became of a grok pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grok {
    /// A literal of the language: `pat"…"`, otherwise `grok"…"`.
    pub text: String,
    /// Why it stayed a `grok"…"`.
    pub why_not: Option<String>,
    /// What the `pat"…"` does otherwise than the grok pattern.
    pub notes: Vec<String>,
}

/// A part of a pattern.
enum Part {
    Text(String),
    Capture { name: String, field: Option<String>, ty: Option<String> },
}

/// Translates one grok pattern.
pub fn grok(pattern: &str) -> Grok {
    let mut notes = Vec::new();
    match parts(pattern).and_then(|parts| pat(&parts, &mut notes)) {
        Ok(text) => Grok { text: quoted("pat", &text), why_not: None, notes },
        Err(why) => Grok { text: quoted("grok", pattern), why_not: Some(why), notes: Vec::new() },
    }
}

fn quoted(tag: &str, text: &str) -> String {
    if text.contains(['"', '\n']) || text.ends_with('"') {
        format!("{tag}\"\"\"{text}\"\"\"")
    } else {
        format!("{tag}\"{text}\"")
    }
}

/// Cuts a pattern into texts and captures; a regex between them says no.
fn parts(pattern: &str) -> Result<Vec<Part>, String> {
    let mut out = Vec::new();
    let mut text = String::new();
    let whole = pattern.strip_prefix('^').unwrap_or(pattern);
    let mut rest = match whole.strip_suffix('$') {
        Some(inner) if !inner.ends_with('\\') => inner,
        _ => whole,
    };
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("%{") {
            let (inside, behind) = after.split_once('}').ok_or("a `%{` has no `}`")?;
            if !text.is_empty() {
                out.push(Part::Text(std::mem::take(&mut text)));
            }
            let mut words = inside.splitn(3, ':');
            let name = words.next().unwrap_or_default().to_owned();
            let field = words.next().filter(|field| !field.is_empty()).map(field_name);
            out.push(Part::Capture { name, field, ty: words.next().map(str::to_owned) });
            rest = behind;
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        match letter {
            '\\' => match rest.chars().next() {
                Some(escaped) if escaped.is_ascii_punctuation() || escaped == ' ' => {
                    text.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
                Some(class) => return Err(format!("`\\{class}` stands for many texts")),
                None => return Err("it ends with `\\`".to_owned()),
            },
            '.' | '*' | '+' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                return Err(format!("`{letter}` is a regex between captures"));
            }
            other => text.push(other),
        }
    }
    if !text.is_empty() {
        out.push(Part::Text(text));
    }
    Ok(out)
}

/// `[http][status]` and `http.status` as one name.
fn field_name(field: &str) -> String {
    let joined = field.replace("][", "_");
    let plain = joined.trim_matches(['[', ']']);
    let mut name: String =
        plain.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The type of a capture, and the letters that end it.
type Class = (&'static str, fn(char) -> bool);

/// What a grok name takes: the type of a `pat` capture, and the letters that end it.
fn class(name: &str) -> Option<Class> {
    fn not_word(c: char) -> bool {
        !(c.is_ascii_alphanumeric() || c == '_')
    }
    fn not_name(c: char) -> bool {
        !(c.is_ascii_alphanumeric() || "._-".contains(c))
    }
    fn not_digit(c: char) -> bool {
        !c.is_ascii_digit()
    }
    fn not_number(c: char) -> bool {
        !(c.is_ascii_digit() || ".+-".contains(c))
    }
    fn not_address(c: char) -> bool {
        !(c.is_ascii_hexdigit() || ".:%".contains(c))
    }
    fn not_time(c: char) -> bool {
        !(c.is_ascii_alphanumeric() || ":.,+-".contains(c))
    }
    Some(match name {
        "INT" | "POSINT" | "NONNEGINT" => ("int", not_digit),
        "NUMBER" | "BASE10NUM" => ("float", not_number),
        "IP" | "IPV4" | "IPV6" | "CLIENTIP" => ("ip", not_address),
        "TIMESTAMP_ISO8601" => ("timestamp", not_time),
        "HTTPDATE" => ("timestamp(\"%d/%b/%Y:%H:%M:%S %z\")", |c| c == ']' || c == '"'),
        "LOGLEVEL" => ("severity", not_word),
        "WORD" | "MONTH" | "DAY" | "YEAR" | "BASE16NUM" => ("", not_word),
        "USERNAME" | "USER" | "HOSTNAME" | "IPORHOST" | "HOST" | "UUID" | "PROG" => ("", not_name),
        "HTTPDUSER" | "EMAILADDRESS" | "NOTSPACE" | "URIPATHPARAM" | "URI" | "PATH"
        | "UNIXPATH" => ("", char::is_whitespace),
        "URIPATH" => ("", |c| c.is_whitespace() || c == '?'),
        // As short as possible: up to whatever stands behind.
        "DATA" => ("", |_| true),
        "GREEDYDATA" | "SPACE" => ("", |_| false),
        _ => return None,
    })
}

fn pat(parts: &[Part], notes: &mut Vec<String>) -> Result<String, String> {
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        let (name, field, asked) = match part {
            Part::Text(text) => {
                out.push_str(&text.replace('\\', "\\\\").replace('<', "\\<"));
                continue;
            }
            Part::Capture { name, field, ty } => (name, field, ty),
        };
        let (ty, ends) =
            class(name).ok_or_else(|| format!("`%{{{name}}}` is more than one capture"))?;
        match parts.get(at + 1) {
            None => {}
            Some(Part::Capture { .. }) => {
                return Err(format!("nothing stands between `%{{{name}}}` and the next capture"));
            }
            // Up to the first letter that the capture cannot take both go the same way.
            Some(Part::Text(text)) if text.contains(ends) => {}
            Some(Part::Text(text)) => {
                return Err(format!("`%{{{name}}}` may go on behind {text:?}"));
            }
        }
        let ty = match asked.as_deref() {
            Some("int" | "integer") => "int",
            Some("float") => "float",
            Some(other) => return Err(format!("`:{other}` is no type of grok's")),
            None => ty,
        };
        match field {
            None => out.push_str("<_>"),
            Some(field) => {
                out.push('<');
                out.push_str(field);
                if !ty.is_empty() {
                    out.push(':');
                    out.push_str(ty);
                }
                out.push('>');
            }
        }
        match (field, ty) {
            (Some(field), "") if !matches!(name.as_str(), "DATA" | "GREEDYDATA" | "NOTSPACE") => {
                notes.push(format!("`{field}` takes any text there, not just what `{name}` takes"));
            }
            (Some(field), ty) if asked.is_none() && !ty.is_empty() => {
                let short = ty.split('(').next().unwrap_or(ty);
                notes.push(format!("`{field}` becomes `{short}`, grok leaves it text"));
            }
            _ => {}
        }
    }
    notes.push("a `pat` begins at the start of the text; grok looks anywhere".to_owned());
    Pattern::compile(&out).map(|_| out).map_err(|error| error.message)
}
