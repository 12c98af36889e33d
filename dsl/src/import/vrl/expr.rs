//! VRL expressions as ours. Brackets stand around every operation: `fmt` takes out those that say nothing.

use super::lex::{Kind, Token};
use crate::functions;

/// Nested expressions that are followed.
const DEPTH_MAX: usize = 48;

/// VRL functions that are called otherwise here, with the same arguments.
const RENAMED: &[(&str, &str)] = &[
    ("downcase", "lower"),
    ("upcase", "upper"),
    ("strip_whitespace", "trim"),
    ("strlen", "len"),
    ("to_string", "string"),
    ("to_int", "int"),
    ("to_float", "float"),
    ("to_bool", "bool"),
    ("ceil", "ceil"),
    ("floor", "floor"),
    ("abs", "abs"),
    ("now", "now"),
    ("keys", "keys"),
    ("values", "values"),
    ("merge", "merge"),
    ("split", "split"),
    ("join", "join"),
    ("parse_json", "parse_json"),
    ("parse_logfmt", "parse_logfmt"),
    ("parse_url", "parse_url"),
    ("parse_syslog", "parse_syslog"),
    ("encode_base64", "encode_base64"),
    ("decode_base64", "decode_base64"),
    ("encode_percent", "encode_percent"),
    ("decode_percent", "decode_percent"),
    ("encode_json", "to_json"),
    ("md5", "md5"),
    ("sha1", "sha1"),
];

/// Assertions of a type: the value itself, read as that type.
const ASSERTED: &[&str] = &["string", "int", "float", "bool", "array", "object", "timestamp"];

/// `is_string(x)` and the like.
const ASKED: &[(&str, &str)] = &[
    ("is_string", "is string"),
    ("is_integer", "is int"),
    ("is_float", "is float"),
    ("is_boolean", "is bool"),
    ("is_null", "is absent"),
    ("is_nullish", "is absent"),
    ("exists", "is not missing"),
];

type Made = Result<String, String>;

pub(super) struct Translate<'t> {
    program: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    errors: &'t [(String, String)],
}

impl<'t> Translate<'t> {
    pub(super) fn new(program: &'t str, tokens: &[Token], errors: &'t [(String, String)]) -> Self {
        let tokens = tokens
            .iter()
            .copied()
            .filter(|token| !matches!(token.kind, Kind::End | Kind::Comment))
            .collect();
        Self { program, tokens, at: 0, depth: 0, errors }
    }

    /// All tokens as one expression.
    pub(super) fn whole(mut self) -> Made {
        let made = self.binary(0)?;
        match self.word() {
            "" => Ok(made),
            rest => Err(format!("`{rest}` has no counterpart here")),
        }
    }

    fn word(&self) -> &'t str {
        self.ahead(0)
    }

    fn ahead(&self, n: usize) -> &'t str {
        self.tokens.get(self.at + n).map_or("", |token| &self.program[token.start..token.end])
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.word() == word;
        self.at += usize::from(found);
        found
    }

    fn need(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(format!("a `{word}` is missing")) }
    }

    /// Operators from the loosest to the tightest, as VRL has them.
    fn binary(&mut self, level: usize) -> Made {
        const LEVELS: &[&[&str]] = &[
            &["||", "??"],
            &["&&"],
            &["==", "!="],
            &["<", "<=", ">", ">="],
            &["+", "-"],
            &["*", "/"],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        self.depth += 1;
        if self.depth > DEPTH_MAX * LEVELS.len() {
            return Err("it is nested too deeply".to_owned());
        }
        let mut left = self.binary(level + 1)?;
        while operators.contains(&self.word()) {
            let op = self.word();
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = match (op, left.as_str(), right.as_str()) {
                ("||", ..) => format!("({left} or {right})"),
                ("&&", ..) => format!("({left} and {right})"),
                // A path that is not there reads as null.
                ("==" | "!=", value, "null") => self.is_null(value, op == "=="),
                (op, ..) => format!("({left} {op} {right})"),
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// `x == null`. Of an error variable: there is no error where the value beside it is there.
    fn is_null(&self, value: &str, equal: bool) -> String {
        let beside = self.errors.iter().find(|(error, _)| error == value);
        let (value, absent) = beside.map_or((value, equal), |(_, name)| (name, !equal));
        format!("({value} is {})", if absent { "absent" } else { "present" })
    }

    fn unary(&mut self) -> Made {
        if self.take("!") {
            let made = self.unary()?;
            // What is asked for has an opposite of its own.
            const OPPOSITES: &[(&str, &str)] =
                &[(" is not missing)", " is missing)"), (" is absent)", " is present)")];
            for (one, other) in OPPOSITES {
                if let Some(value) = made.strip_suffix(one) {
                    return Ok(format!("{value}{other}"));
                }
            }
            return Ok(format!("(not {made})"));
        }
        if self.take("-") {
            return Ok(format!("(-{})", self.unary()?));
        }
        let mut made = self.primary()?;
        while self.word() == "[" || (self.word().starts_with('.') && self.touches()) {
            if self.take("[") {
                let index = self.binary(0)?;
                self.need("]")?;
                made = format!("{made}[{index}]");
            } else {
                made.push_str(self.word());
                self.at += 1;
            }
        }
        Ok(made)
    }

    /// Whether this token stands right behind the one before it.
    fn touches(&self) -> bool {
        self.at > 0
            && self.tokens.get(self.at).is_some_and(|it| it.start == self.tokens[self.at - 1].end)
    }

    fn primary(&mut self) -> Made {
        let Some(token) = self.tokens.get(self.at).copied() else {
            return Err("a value is missing".to_owned());
        };
        let text = &self.program[token.start..token.end];
        self.at += 1;
        match token.kind {
            Kind::Path if text.starts_with('%') => Err("metadata has other names here".to_owned()),
            Kind::Path | Kind::Number => Ok(text.to_owned()),
            Kind::Text => Ok(template(text)),
            Kind::Raw => Ok(format!("r\"\"\"{}\"\"\"", inside(text, 2))),
            Kind::Time => Ok(format!("t\"{}\"", inside(text, 2))),
            Kind::Regex => {
                let regex = inside(text, 2);
                Ok(if regex.contains('"') {
                    format!("re\"\"\"{regex}\"\"\"")
                } else {
                    format!("re\"{regex}\"")
                })
            }
            Kind::Open => match text {
                "(" => {
                    let made = self.binary(0)?;
                    self.need(")")?;
                    Ok(format!("({made})"))
                }
                "[" => {
                    let items = self.list("]")?;
                    Ok(format!("[{}]", items.join(", ")))
                }
                _ => self.object(),
            },
            Kind::Name => match text {
                "true" | "false" | "null" => Ok(text.to_owned()),
                "if" => self.if_value(),
                _ if self.word() == "(" || (self.word() == "!" && self.ahead(1) == "(") => {
                    self.take("!");
                    self.need("(")?;
                    self.call(text)
                }
                _ => Ok(text.to_owned()),
            },
            Kind::Close | Kind::Mark | Kind::End | Kind::Comment => {
                Err(format!("`{text}` has no counterpart here"))
            }
        }
    }

    fn if_value(&mut self) -> Made {
        let condition = self.binary(0)?;
        self.need("{")?;
        let then = self.binary(0)?;
        self.need("}")?;
        self.need("else")?;
        let otherwise = if self.take("if") {
            self.if_value()?
        } else {
            self.need("{")?;
            let made = self.binary(0)?;
            self.need("}")?;
            made
        };
        let otherwise =
            if otherwise.starts_with("if ") { otherwise } else { format!("{{ {otherwise} }}") };
        Ok(format!("if {condition} {{ {then} }} else {otherwise}"))
    }

    /// Values up to a closing bracket.
    fn list(&mut self, close: &str) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        while !self.take(close) {
            out.push(self.binary(0)?);
            if !self.take(",") && self.word() != close {
                return Err(format!("`{}` has no counterpart here", self.word()));
            }
        }
        Ok(out)
    }

    fn object(&mut self) -> Made {
        let mut fields = Vec::new();
        while !self.take("}") {
            let key = self.word();
            if !key.starts_with('"') {
                return Err("a block as a value has no counterpart here".to_owned());
            }
            self.at += 1;
            self.need(":")?;
            fields.push(format!("{key}: {}", self.binary(0)?));
            if !self.take(",") && self.word() != "}" {
                return Err(format!("`{}` has no counterpart here", self.word()));
            }
        }
        Ok(format!("{{ {} }}", fields.join(", ")))
    }

    /// A call, behind its bracket.
    fn call(&mut self, name: &str) -> Made {
        let mut args = Vec::new();
        while !self.take(")") {
            // `value: x`: VRL's names are not ours.
            if self.ahead(1) == ":" {
                let named = self.word();
                if !matches!(named, "value" | "pattern" | "substring" | "case_sensitive" | "with") {
                    return Err(format!("the argument `{named}` of `{name}` has no counterpart"));
                }
                self.at += 2;
                if named == "case_sensitive" {
                    let sensitive = self.binary(0)?;
                    self.take(",");
                    args.push(format!("case_sensitive:{sensitive}"));
                    continue;
                }
            }
            args.push(self.binary(0)?);
            if !self.take(",") && self.word() != ")" {
                return Err(format!("`{}` has no counterpart here", self.word()));
            }
        }
        let case = args.iter().position(|arg| arg.starts_with("case_sensitive:"));
        let fold = match case.map(|at| args.remove(at)) {
            None => "",
            Some(arg) if arg.ends_with(":true") => "",
            Some(arg) if arg.ends_with(":false") => "i",
            Some(_) => return Err("case is part of a literal here".to_owned()),
        };
        function(name, &args, fold)
    }
}

/// `"{{ name }}"` is `f"{name}"` here.
fn template(text: &str) -> String {
    if !text.contains("{{") {
        return text.to_owned();
    }
    let made = text.replace("{{ ", "{").replace(" }}", "}").replace("{{", "{").replace("}}", "}");
    format!("f{made}")
}

/// What stands between the quotes.
fn inside(text: &str, from: usize) -> &str {
    text.get(from..text.len().saturating_sub(1)).unwrap_or_default()
}

/// A call of a VRL function with translated arguments.
fn function(name: &str, args: &[String], fold: &str) -> Made {
    if let Some((_, asked)) = ASKED.iter().find(|(known, _)| *known == name) {
        return match args {
            [value] => Ok(format!("({value} {asked})")),
            _ => Err(format!("`{name}` takes one argument")),
        };
    }
    let word = match name {
        "contains" => "contains",
        "starts_with" => "starts_with",
        "ends_with" => "ends_with",
        "match" => "matches",
        _ => "",
    };
    match (name, args) {
        (_, [value, needle]) if !word.is_empty() => {
            if !fold.is_empty() && !needle.ends_with('"') {
                return Err("`case_sensitive: false` needs a literal here".to_owned());
            }
            return Ok(format!("({value} {word} {needle}{fold})"));
        }
        ("includes", [list, item]) => return Ok(format!("({item} in {list})")),
        ("ip_cidr_contains", [block, address]) if block.starts_with('"') => {
            return Ok(format!("(ip({address}) in cidr{block})"));
        }
        ("parse_regex", [value, regex]) if regex.starts_with("re\"") => {
            return Ok(format!("captures({value}, {regex})"));
        }
        ("replace", [value, from, to]) => {
            return Ok(format!("replace({value}, {from}, {to})"));
        }
        (name, [value]) if ASSERTED.contains(&name) => return Ok(value.clone()),
        _ => {}
    }
    let Some((_, ours)) = RENAMED.iter().find(|(known, _)| *known == name) else {
        return Err(format!("`{name}` has no counterpart that is known to mean the same"));
    };
    if functions::find(ours).is_none() {
        return Err(format!("`{name}` has no counterpart here"));
    }
    Ok(format!("{ours}({})", args.join(", ")))
}
