//! Literals: numbers, lengths of time, sizes, text, and what is compiled later.

use logmon_grammar::{Pair, Rule};

use super::lower::{Lower, parts};
use crate::{
    diagnostic::{Code, Diagnostic},
    span::Span,
    syntax::ast::{Count, Duration, Expr, ExprKind, Piece, Ratio, RatioKind, Tag},
};

/// Units of time, in nanoseconds; a longer name comes before its own beginning.
const TIMES: &[(&str, i64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Units of size, in bytes.
const SIZES: &[(&str, i64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl Lower<'_> {
    /// Lowers a literal; `sign` is where a minus stands before it.
    pub(super) fn literal(&mut self, pair: &Pair<'_>, sign: Option<Span>) -> Expr {
        assert_eq!(pair.as_rule(), Rule::literal);
        let inner = parts(pair).need();
        let mut span = self.span(&inner);
        let mut signed = None;
        let kind = match inner.as_rule() {
            Rule::number => {
                signed = sign;
                self.number(&inner, sign.is_some())
            }
            Rule::bytesize => {
                signed = sign;
                let bytes = self.size(&inner);
                ExprKind::Int(if sign.is_some() { -bytes } else { bytes })
            }
            Rule::duration => {
                signed = sign;
                let nanos = self.duration(&inner).nanos;
                ExprKind::Duration(if sign.is_some() { -nanos } else { nanos })
            }
            Rule::slip_duration => ExprKind::Duration(self.slip_duration(&inner).nanos),
            Rule::boolean => ExprKind::Bool(inner.as_str() == "true"),
            Rule::null => ExprKind::Null,
            Rule::string => ExprKind::Text { value: self.string(&inner).value, fold: false },
            Rule::string_ci => ExprKind::Text { value: self.string(&inner).value, fold: true },
            Rule::slip_quoted => self.slip_quoted(&inner),
            Rule::rawstr => ExprKind::Text { value: self.raw(&inner).0, fold: false },
            Rule::fstring => ExprKind::Interpolated(self.pieces(&inner)),
            Rule::tagged => self.tagged(&inner),
            other => unreachable!("{other:?} is no literal"),
        };
        if let Some(sign) = signed {
            span = sign.to(span);
        }
        let expr = Expr { kind, span };
        match sign.filter(|_| signed.is_none()) {
            Some(sign) => Expr { span: sign.to(span), kind: ExprKind::Neg(Box::new(expr)) },
            None => expr,
        }
    }

    fn number(&mut self, pair: &Pair<'_>, negative: bool) -> ExprKind {
        let sign = if negative { "-" } else { "" };
        let digits = format!("{sign}{}", pair.as_str().replace('_', ""));
        if digits.contains(['.', 'e', 'E']) {
            let value: f64 = digits.parse().expect("the grammar takes only numbers");
            if !value.is_finite() {
                let at = self.span(pair);
                self.bad_literal(at, "this number is too large for a `float`", "above 1.8e308");
                return ExprKind::Error;
            }
            return ExprKind::Float(value);
        }
        digits.parse().map_or_else(
            |_| {
                let at = self.span(pair);
                self.bad_literal(
                    at,
                    "this number is too large for an `int`",
                    "above 9_223_372_036_854_775_807",
                );
                ExprKind::Error
            },
            ExprKind::Int,
        )
    }

    /// Lowers a whole number that counts something.
    pub(super) fn count(&mut self, pair: &Pair<'_>) -> Count {
        let span = self.span(pair);
        let value = pair.as_str().replace('_', "").parse().unwrap_or_else(|_| {
            self.bad_literal(span, "this number is too large to count with", "above 2^64");
            u64::MAX
        });
        Count { value, span }
    }

    /// Lowers the position of an element.
    pub(super) fn position(&mut self, pair: &Pair<'_>) -> i64 {
        pair.as_str().replace('_', "").parse().unwrap_or_else(|_| {
            let at = self.span(pair);
            self.bad_literal(at, "no list has so many elements", "too large for an `int`");
            0
        })
    }

    /// Lowers a length of time where only that may stand.
    pub(super) fn time(&mut self, pair: &Pair<'_>) -> Duration {
        assert_eq!(pair.as_rule(), Rule::time);
        let inner = parts(pair).need();
        if inner.as_rule() == Rule::slip_duration {
            return self.slip_duration(&inner);
        }
        self.duration(&inner)
    }

    pub(super) fn duration(&mut self, pair: &Pair<'_>) -> Duration {
        let span = self.span(pair);
        let nanos = measure(pair.as_str(), TIMES).unwrap_or_else(|| {
            self.bad_literal(span, "this duration is too long", "above 292 years");
            0
        });
        Duration { nanos, span }
    }

    /// Lowers the time of a rate: `s`, `m`, `h` or `d`.
    pub(super) fn time_unit(&mut self, pair: &Pair<'_>) -> Duration {
        let nanos = measure(&format!("1{}", pair.as_str()), TIMES).expect("a unit of the grammar");
        Duration { nanos, span: self.span(pair) }
    }

    fn size(&mut self, pair: &Pair<'_>) -> i64 {
        measure(pair.as_str(), SIZES).unwrap_or_else(|| {
            let at = self.span(pair);
            self.bad_literal(at, "this size is too large", "above 8 EiB");
            0
        })
    }

    fn slip_duration(&mut self, pair: &Pair<'_>) -> Duration {
        let span = self.span(pair);
        let mut inner = parts(pair);
        let (amount, unit) = (inner.need(), inner.need());
        let unit = short_unit(unit.as_str().trim());
        let written = format!("{}{unit}", amount.as_str());
        let nanos = measure(&written, TIMES).unwrap_or(0);
        self.report(
            Diagnostic::new(Code::E105, span, "a duration is written without a space")
                .label("a number and a word")
                .note("the units are ns us ms s m h d w, and they add up: `1h30m`")
                .fix(format!("write `{written}`"), vec![(span, written)]),
        );
        Duration { nanos, span }
    }

    fn slip_quoted(&mut self, pair: &Pair<'_>) -> ExprKind {
        let span = self.span(pair);
        let body = parts(pair).need().as_str().to_owned();
        let escaped = body.replace('\\', r"\\").replace('"', "\\\"");
        let written = format!("\"{escaped}\"");
        self.report(
            Diagnostic::new(Code::E105, span, "text stands in double quotes")
                .label("single quotes have no meaning")
                .fix(format!("write `{written}`"), vec![(span, written)]),
        );
        ExprKind::Text { value: body, fold: false }
    }

    /// Returns raw text and where it stands.
    fn raw(&self, pair: &Pair<'_>) -> (String, Span) {
        let quoted = pair
            .clone()
            .into_inner()
            .find(|inner| inner.as_rule() == Rule::raw_quoted)
            .expect("a raw literal has quotes");
        let body = parts(&quoted).need();
        let start = self.base + body.as_span().start();
        let text = body.as_str();
        (text.to_owned(), Span::new(self.file, start, start + text.len()))
    }

    fn tagged(&mut self, pair: &Pair<'_>) -> ExprKind {
        let mut inner = parts(pair);
        let first = inner.need();
        if first.as_rule() == Rule::regex_lit {
            let (raw, raw_span) = self.raw(&first);
            let flags = first.into_inner().find(|inner| inner.as_rule() == Rule::re_flags);
            let flags = flags.map_or_else(String::new, |flags| flags.as_str().to_owned());
            return ExprKind::Tagged { tag: Tag::Regex, raw, raw_span, flags };
        }
        let tag = Tag::ALL.iter().find(|tag| tag.letters() == first.as_str());
        let tag = *tag.expect("every tag of the grammar is in the list");
        let (raw, raw_span) = self.raw(pair);
        ExprKind::Tagged { tag, raw, raw_span, flags: String::new() }
    }

    fn pieces(&mut self, pair: &Pair<'_>) -> Vec<Piece> {
        let piece = |part: Pair<'_>| match part.as_rule() {
            Rule::f_text => Piece::Text(self.unescape(&part, true)),
            _ => Piece::Hole(self.expr(&parts(&part).need())),
        };
        parts(pair).map(piece).collect()
    }

    pub(super) fn ratio(&mut self, pair: &Pair<'_>) -> Ratio {
        let span = self.span(pair);
        let inner = parts(pair).need();
        let mut numbers = parts(&inner);
        let first = numbers.need();
        let kind = if inner.as_rule() == Rule::percent {
            let digits = first.as_str().replace('_', "");
            RatioKind::Percent(digits.parse().expect("the grammar takes only numbers"))
        } else {
            let part = self.count(&first).value;
            RatioKind::Fraction { part, whole: self.count(&numbers.need()).value }
        };
        let ratio = Ratio { kind, span };
        if !(0.0..=1.0).contains(&ratio.share()) {
            self.bad_literal(
                span,
                "a share lies between nothing and all",
                "not within 0% and 100%",
            );
        }
        ratio
    }
}

/// Adds up numbers with units; nothing where the sum does not fit.
fn measure(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let mut rest = text;
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (_, factor) = units.iter().find(|(unit, _)| *unit == &tail[..len])?;
        sum = sum.checked_add(scale(number, *factor)?)?;
        rest = &tail[len..];
    }
    Some(sum)
}

/// Multiplies a decimal number exactly; what lies below one is cut off.
fn scale(number: &str, factor: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut sum = whole.parse::<i64>().ok()?.checked_mul(factor)?;
    let mut below = 0_i128;
    // Eighteen digits are below one of any unit, and fit.
    for digit in fraction.bytes().take(18) {
        below = below * 10 + i128::from(digit - b'0') * i128::from(factor);
    }
    let digits = fraction.len().min(18) as u32;
    sum = sum.checked_add(i64::try_from(below / 10_i128.pow(digits)).ok()?)?;
    Some(sum)
}

/// Returns the unit that a word from another language means.
fn short_unit(word: &str) -> &str {
    match word {
        "nanoseconds" | "nanosecond" => "ns",
        "microseconds" | "microsecond" => "us",
        "milliseconds" | "millisecond" => "ms",
        "seconds" | "second" | "secs" | "sec" => "s",
        "minutes" | "minute" | "mins" | "min" => "m",
        "hours" | "hour" | "hrs" | "hr" => "h",
        "days" | "day" => "d",
        "weeks" | "week" => "w",
        short => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_add_up_exactly() {
        for (text, nanos) in [
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("0.1s", Some(100_000_000)),
            ("2m30s", Some(150_000_000_000)),
            ("1.23456789012345678901s", Some(1_234_567_890)),
            ("99999999999w", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(measure(text, TIMES), nanos, "{text}");
        }
        assert_eq!(measure("10KiB", SIZES), Some(10_240));
        assert_eq!(measure("1.5MB", SIZES), Some(1_500_000));
    }
}
