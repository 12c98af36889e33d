//! Conditions: what selects rows.

use super::{
    Condition, Kind, Refused, Value, Writer,
    read::Stand,
    store::{Place, Stored, StoredAbsent},
    text::{like_glob, like_literal, name, regex, words},
};
use crate::{
    plan::{CompareOp, ExprId, Literal, LiteralSet, Op, TextTest},
    span::Span,
    types::Type,
};

impl Writer<'_> {
    pub(super) fn condition(&mut self, id: ExprId) -> Option<Condition> {
        let span = self.plan.expr(id).span;
        self.deeper(span, |this| this.condition_here(id))
    }

    fn condition_here(&mut self, id: ExprId) -> Option<Condition> {
        let plan = self.plan;
        let expr = plan.expr(id);
        let span = expr.span;
        match &expr.op {
            Op::And(parts) => self.joined(parts, " AND "),
            Op::Or(parts) => self.joined(parts, " OR "),
            Op::Not(of) => {
                let of = self.condition(*of)?;
                Some(Condition::sure(format!("NOT {}", of.two_valued())))
            }
            Op::Truth(of) => self.condition(*of),
            Op::Compare { op, left, right } => self.compare(*op, *left, *right, span),
            Op::InSet { value, set } => self.in_set(*value, set, span),
            Op::In { value, within } => self.is_in(*value, *within, span),
            Op::TextTest { test, value, needle, ignore_case } => {
                self.text_test(*test, *value, *needle, *ignore_case, span)
            }
            Op::Like { value, glob } => {
                let stand = self.text_of(*value)?;
                let pattern = self.text_param(&like_glob(glob));
                let test = format!("{} LIKE {pattern}", stand.raw);
                Some(guarded(&stand, test, glob.matches(b"")))
            }
            Op::Matches { value, regex: machine } => {
                let Some(pattern) = regex(machine) else {
                    return self.refuse_with(
                        span,
                        "a regex with set operations or the flag `x`",
                        "spell the class out, write the regex in one line",
                    );
                };
                let stand = self.text_of(*value)?;
                let pattern = self.text_param(&pattern);
                let test = format!("match({}, {pattern})", stand.raw);
                Some(guarded(&stand, test, machine.matches(b"")))
            }
            Op::Has { value, words: wanted, ignore_case } => self.has(*value, wanted, *ignore_case),
            Op::Is { value, test } => match self.place(*value).ok()? {
                Some(place) if self.is_as_stored(*value) => self.is(&place, test, span),
                _ => {
                    let value = self.value(*value)?;
                    use crate::plan::IsTest::{Absent, Missing, Null, Present, Type as OfType};
                    Some(Condition::sure(match test {
                        Absent | Missing | Null => format!("isNull({})", value.text),
                        Present => format!("isNotNull({})", value.text),
                        OfType(ty) if super::value::kind_of(ty).as_ref() == Some(&value.kind) => {
                            format!("isNotNull({})", value.text)
                        }
                        OfType(_) => "false".into(),
                    }))
                }
            },
            Op::AnyElement { list, element, test } => {
                let of = self.element_type(*element, *test);
                let Some(of) = of else {
                    return self.refuse_with(
                        span,
                        "elements whose type nobody declared",
                        "compare them with a constant of one type",
                    );
                };
                let list = self.elements(*list, &of)?;
                let Kind::List(kind) = list.kind else {
                    return self.refuse(span, "the elements of something that is no array");
                };
                let local = format!("e{}", element.0);
                let value = Value { text: local.clone(), kind: *kind, nullable: true };
                self.locals.insert(*element, value);
                let test = self.condition(*test)?;
                Some(Condition::sure(format!(
                    "arrayExists({local} -> {}, {})",
                    test.two_valued(),
                    list.text
                )))
            }
            _ => {
                let value = self.value(id)?;
                if value.kind != Kind::Bool {
                    return self.refuse(span, "a condition that is no truth value");
                }
                Some(Condition::of(value))
            }
        }
    }

    fn joined(&mut self, parts: &[ExprId], with: &str) -> Option<Condition> {
        let mut texts = Vec::with_capacity(parts.len());
        let mut nullable = false;
        for part in parts {
            let part = self.condition(*part)?;
            nullable |= part.nullable;
            texts.push(part.text);
        }
        Some(Condition { text: format!("({})", texts.join(with)), nullable })
    }

    fn compare(
        &mut self,
        op: CompareOp,
        left: ExprId,
        right: ExprId,
        span: Span,
    ) -> Option<Condition> {
        if let Some(condition) = self.compare_constant(op, left, right).ok()? {
            return Some(condition);
        }
        if let Some(condition) = self.compare_constant(op.turned(), right, left).ok()? {
            return Some(condition);
        }
        let (left, right) = (self.value(left)?, self.value(right)?);
        self.comparable(&left, &right, span)?;
        let text = format!("({} {} {})", left.text, sign(op), right.text);
        Some(Condition { text, nullable: left.nullable || right.nullable })
    }

    /// A stored value against a constant, in the form that keys and indexes know.
    fn compare_constant(
        &mut self,
        op: CompareOp,
        value: ExprId,
        constant: ExprId,
    ) -> Result<Option<Condition>, Refused> {
        let Op::Literal(literal) = &self.plan.expr(constant).op else { return Ok(None) };
        let Some(place) = self.place(value)? else { return Ok(None) };
        let span = self.plan.expr(constant).span;
        Ok(match (&place, literal) {
            (Place::Json(column, keys), Literal::Int(_) | Literal::Float(_))
                if self.is_any_number(value) =>
            {
                // One path can hold three numeric types.
                let path = super::read::json_path(column, keys);
                let constant = self.literal(literal, span).ok_or(Refused)?.text;
                let of = |variant: &str| format!("{path}.:{variant} {} {constant}", sign(op));
                let text = format!("({} OR {} OR {})", of("Int64"), of("Float64"), of("UInt64"));
                Some(Condition { text, nullable: true })
            }
            (Place::Column(at), Literal::Severity(severity))
                if self.store.columns[*at].stored == Stored::Severity =>
            {
                let column = &self.store.columns[*at];
                let raw = name(&column.name);
                let guard = column.absent == StoredAbsent::Empty
                    && matches!(op, CompareOp::Lt | CompareOp::Le);
                let nullable = column.absent == StoredAbsent::Null;
                let constant = self.text_param(severity.name());
                let test = format!("{raw} {} {constant}", sign(op));
                Some(Condition {
                    text: if guard {
                        format!("({raw} != 'unset' AND {test})")
                    } else {
                        format!("({test})")
                    },
                    nullable,
                })
            }
            (Place::Column(at), Literal::Text(text))
                if matches!(self.store.columns[*at].stored, Stored::Text | Stored::AsText) =>
            {
                let stand = self.stand(&place, span).ok_or(Refused)?;
                let empty_holds = match op {
                    CompareOp::Eq => text.is_empty(),
                    CompareOp::Lt => !text.is_empty(),
                    CompareOp::Le => true,
                    CompareOp::Gt => false,
                    CompareOp::Ge => text.is_empty(),
                };
                let constant = self.text_param(text);
                let test = format!("({} {} {constant})", stand.raw, sign(op));
                Some(guarded(&stand, test, empty_holds))
            }
            (Place::Entry(..), Literal::Text(_)) => {
                let stand = self.stand(&place, span).ok_or(Refused)?;
                let constant = self.literal(literal, span).ok_or(Refused)?.text;
                let test = format!("({} {} {constant})", stand.raw, sign(op));
                Some(guarded(&stand, test, true))
            }
            _ => None,
        })
    }

    /// Whether a value counts as present whatever its type is: nobody declared one, or the column itself has it.
    fn is_as_stored(&mut self, id: ExprId) -> bool {
        let expr = self.plan.expr(id);
        let untyped =
            matches!(expr.ty.base, Type::Any | Type::Record(_) | Type::Map(_) | Type::List(_));
        untyped || matches!(self.place(id), Ok(Some(Place::Column(_))))
    }

    /// Whether an expression reads a number that may be whole or not.
    fn is_any_number(&self, id: ExprId) -> bool {
        let expr = self.plan.expr(id);
        matches!(&expr.op, Op::Narrow(_)) && expr.ty.base == Type::Number
    }

    fn in_set(&mut self, value: ExprId, set: &LiteralSet, span: Span) -> Option<Condition> {
        let place = self.place(value).ok()?;
        if let Some(Place::Json(column, keys)) = &place
            && self.is_any_number(value)
        {
            let path = super::read::json_path(column, keys);
            let mut constants: Vec<String> =
                set.ints.iter().map(|n| self.param("Int64", n.to_string())).collect();
            constants.extend(set.floats.iter().map(|n| self.param("Float64", format!("{n:e}"))));
            // Each type compares exactly; `IN` would turn the constants into the path's type first.
            let tests: Vec<String> = constants
                .iter()
                .flat_map(|constant| {
                    ["Int64", "Float64", "UInt64"]
                        .map(|variant| format!("{path}.:{variant} = {constant}"))
                })
                .collect();
            let text = format!("({})", tests.join(" OR "));
            return Some(Condition { text, nullable: true });
        }
        if let Some(place) = &place
            && !set.texts.is_empty()
        {
            let stand = self.stand(place, span)?;
            let constants: Vec<String> =
                set.texts.iter().map(|text| self.text_param(text)).collect();
            let holds_empty = set.texts.iter().any(|text| text.is_empty());
            let test = format!("{} IN ({})", stand.raw, constants.join(", "));
            return Some(guarded(&stand, test, holds_empty));
        }
        let value = self.value(value)?;
        let mut tests = Vec::new();
        for text in &set.texts {
            tests.push(format!("{} = {}", value.text, self.text_param(text)));
        }
        for number in &set.ints {
            let constant = match value.kind {
                Kind::Time => {
                    let number = self.param("Int64", number.to_string());
                    format!("fromUnixTimestamp64Nano({number}, 'UTC')")
                }
                Kind::Severity => self.param("Int8", number.to_string()),
                _ => self.param("Int64", number.to_string()),
            };
            tests.push(format!("{} = {constant}", value.text));
        }
        for number in &set.floats {
            let constant = self.param("Float64", format!("{number:e}"));
            tests.push(format!("{} = {constant}", value.text));
        }
        for flag in &set.bools {
            tests.push(format!("{} = {flag}", value.text));
        }
        for block in &set.cidrs {
            let (first, last) = (self.address(block.net), self.address(block.last()));
            tests.push(format!("{} BETWEEN {first} AND {last}", value.text));
        }
        if tests.is_empty() {
            return Some(Condition::sure("false"));
        }
        Some(Condition { text: format!("({})", tests.join(" OR ")), nullable: value.nullable })
    }

    fn is_in(&mut self, value: ExprId, within: ExprId, span: Span) -> Option<Condition> {
        let plan = self.plan;
        match &plan.expr(within).op {
            Op::Literal(Literal::Cidr(block)) => {
                let value = self.value(value)?;
                let (first, last) = (self.address(block.net), self.address(block.last()));
                let text = format!("({} BETWEEN {first} AND {last})", value.text);
                Some(Condition { text, nullable: value.nullable })
            }
            Op::List(items) => {
                let value = self.value(value)?;
                let mut tests = Vec::new();
                for item in items {
                    let item = self.value(*item)?;
                    self.comparable(&value, &item, span)?;
                    tests.push(format!("{} = {}", value.text, item.text));
                }
                if tests.is_empty() {
                    return Some(Condition::sure("false"));
                }
                Some(Condition { text: format!("({})", tests.join(" OR ")), nullable: true })
            }
            _ => {
                let (value, list) = (self.value(value)?, self.value(within)?);
                self.has_element(&list, &value, span)
            }
        }
    }

    fn has_element(&mut self, list: &Value, value: &Value, span: Span) -> Option<Condition> {
        let Kind::List(of) = &list.kind else {
            return self.refuse(span, "a block of addresses that is computed");
        };
        if **of != value.kind {
            return self.refuse(span, "looking for a value of one type in a list of another");
        }
        // NULL would be found among NULLs.
        let text = if value.nullable {
            format!("(isNotNull({0}) AND has({1}, {0}))", value.text, list.text)
        } else {
            format!("has({}, {})", list.text, value.text)
        };
        Some(Condition { text, nullable: true })
    }

    fn text_test(
        &mut self,
        test: TextTest,
        value: ExprId,
        needle: ExprId,
        ignore_case: bool,
        span: Span,
    ) -> Option<Condition> {
        let plan = self.plan;
        if matches!(plan.expr(value).ty.base, Type::List(_)) {
            let (list, needle) = (self.value(value)?, self.value(needle)?);
            return self.has_element(&list, &needle, span);
        }
        let stand = self.text_of(value)?;
        if let Op::Literal(Literal::Text(needle)) = &plan.expr(needle).op {
            let escaped = like_literal(needle);
            let pattern = match test {
                TextTest::Contains => format!("%{escaped}%"),
                TextTest::StartsWith => format!("{escaped}%"),
                TextTest::EndsWith => format!("%{escaped}"),
            };
            let text = if ignore_case {
                let pattern = self.text_param(&pattern);
                // The server's own folding takes more letters for one than lower-casing does.
                format!("lowerUTF8({}) LIKE {pattern}", stand.raw)
            } else if test == TextTest::Contains {
                // `position` uses no index, `LIKE` does.
                let pattern = self.text_param(&pattern);
                format!("{} LIKE {pattern}", stand.raw)
            } else {
                let needle = self.text_param(needle);
                format!("{}({}, {needle})", function(test), stand.raw)
            };
            return Some(guarded(&stand, text, needle.is_empty()));
        }
        let needle = self.value(needle)?;
        if needle.kind != Kind::Text {
            return self.refuse(span, "looking for anything but text in text");
        }
        let (hay, pin) = if ignore_case {
            (format!("lowerUTF8({})", stand.raw), format!("lowerUTF8({})", needle.text))
        } else {
            (stand.raw.clone(), needle.text)
        };
        let text = match test {
            TextTest::Contains => format!("position({hay}, {pin}) > 0"),
            TextTest::StartsWith | TextTest::EndsWith => {
                format!("{}({hay}, {pin})", function(test))
            }
        };
        let mut condition = guarded(&stand, text, true);
        condition.nullable |= needle.nullable;
        Some(condition)
    }

    fn has(&mut self, value: ExprId, wanted: &str, ignore_case: bool) -> Option<Condition> {
        let stand = self.text_of(value)?;
        let pattern = self.text_param(&words(wanted, ignore_case));
        let mut tests = Vec::new();
        // Tokens of the server are runs of ASCII letters and digits, and of everything beyond ASCII: what token indexes hold.
        if !ignore_case {
            for token in wanted.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric()) {
                if !token.is_empty() && token.is_ascii() {
                    let pattern = self.text_param(&format!("%{}%", like_literal(token)));
                    tests.push(format!("{} LIKE {pattern}", stand.raw));
                }
            }
        }
        tests.push(format!("match({}, {pattern})", stand.raw));
        Some(guarded(&stand, format!("({})", tests.join(" AND ")), false))
    }

    /// Text in the form that indexes know.
    fn text_of(&mut self, id: ExprId) -> Option<Stand> {
        let span = self.plan.expr(id).span;
        let coerced = match &self.plan.expr(id).op {
            Op::Field(node) => self.plan.layout.node(*node).coerce,
            _ => false,
        };
        if let Some(place) = self.place(id).ok()?
            && !(coerced && matches!(place, Place::Json(..)))
        {
            return self.stand(&place, span);
        }
        let value = self.value(id)?;
        if value.kind != Kind::Text {
            return self.refuse(span, "a test of text on something else");
        }
        Some(Stand { raw: value.text, guard: None, nullable: value.nullable })
    }

    /// What the elements are read as: the one type that the test asks of them.
    fn element_type(&self, element: crate::plan::LocalId, test: ExprId) -> Option<Type> {
        let mut found = None;
        let mut stack = vec![test];
        let mut declared = None;
        while let Some(id) = stack.pop() {
            let expr = self.plan.expr(id);
            match &expr.op {
                Op::Local(local) if *local == element => declared = Some(expr.ty.base.clone()),
                Op::Narrow(of) if matches!(&self.plan.expr(*of).op, Op::Local(local) if *local == element) =>
                {
                    let ty = expr.ty.base.clone();
                    if found.get_or_insert_with(|| ty.clone()) != &ty {
                        return None;
                    }
                }
                op => stack.extend(op.operands()),
            }
        }
        found.or(declared).filter(|ty| !matches!(ty, Type::Any | Type::Number))
    }
}

/// A test that must not hold where the value is absent.
fn guarded(stand: &Stand, test: String, holds_for_empty: bool) -> Condition {
    match &stand.guard {
        Some(guard) if holds_for_empty => {
            Condition { text: format!("({guard} AND {test})"), nullable: stand.nullable }
        }
        _ => Condition { text: test, nullable: stand.nullable },
    }
}

fn function(test: TextTest) -> &'static str {
    match test {
        TextTest::Contains => "position",
        TextTest::StartsWith => "startsWith",
        TextTest::EndsWith => "endsWith",
    }
}

fn sign(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "=",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
    }
}
