//! What becomes of values: sensitive ones, lost ones, and those that are read too early.

use expect_test::expect;

use crate::check::{check, compile_text, drawn};
use logmon_dsl::program::Mode;

/// Rules over a source with a sensitive address.
fn visits(text: &str) -> String {
    format!(
        r#"source web : {{ client: {{ ip: ip? sensitive, ... }}?, secret: string? sensitive, message: string?, ... }}
lookup geo(ip) -> {{ country: string }}?
sink logs : table("logs")
@accepts_sensitive
sink vault : {{ ... }}
sink dlq : {{ reason: string, raw: string? }}
{text}"#
    )
}

fn codes(text: &str) -> String {
    let compilation = compile_text(&visits(text), Mode::Test);
    compilation
        .diagnostics
        .iter()
        .filter(|one| ["E501", "W502", "W111", "W306"].contains(&one.code.name()))
        .fold(String::new(), |all, one| all + &format!("{}: {}\n", one.code, one.message))
}

#[test]
fn sensitive_values_are_followed() {
    check(
        &visits(
            r#"rule copy on web {
  let ip = .client.ip
  .where = f"from {ip}"
  .country = geo(.client.ip).country
  del .client.ip
  rename .secret -> .plain
  route to dlq(reason: "x", raw: .plain)
}
default route to logs
"#,
        ),
        &expect![[r#"
            error[E501]: what is set here comes from `.secret`, which is sensitive, and `dlq` does not accept that
              --> t.rules:13:34
               |
             1 | source web : { client: { ip: ip? sensitive, ... }?, secret: string? sensitive, message: string?, ... }
               |                                                     ------------------------- declared sensitive here
            ...
             6 | sink dlq : { reason: string, raw: string? }
               |      --- without `@accepts_sensitive`
            ...
            13 |   route to dlq(reason: "x", raw: .plain)
               |                                  ^^^^^^
               |
               = help: mask the value (`redact`, `ip_mask`, a hash), or mark the sink `@accepts_sensitive`

            error[E501]: `.plain` is sensitive and reaches `logs`, which does not accept that
              --> t.rules:15:18
               |
             1 | source web : { client: { ip: ip? sensitive, ... }?, secret: string? sensitive, message: string?, ... }
               |                                                     ------------------------- declared sensitive here
             2 | lookup geo(ip) -> { country: string }?
             3 | sink logs : table("logs")
               |      ---- without `@accepts_sensitive`
            ...
            15 | default route to logs
               |                  ^^^^
               |
               = note: its value comes from `.secret`
               = note: so does `.where`
               = help: remove it before (`del .plain`), mask it (`redact`, `ip_mask`, a hash), or mark the sink `@accepts_sensitive`
        "#]],
    );
}

#[test]
fn what_takes_the_mark_away() {
    for fine in [
        "rule r on web { del .client, .secret }\ndefault route to logs\n",
        "rule r on web { .client.ip = ip_mask(.client.ip, v4: 24, v6: 48) .secret = sha256(.secret) }\ndefault route to logs\n",
        "rule r on web { keep .message }\ndefault route to logs\n",
        "rule r on web { route to vault }\nrule s on web { route to dlq(reason: \"x\", raw: .message) }\nrule t on web { drop }\n",
        "rule r on web { if .secret is present { tag \"secret\" } .known = .secret == \"x\" del .secret, .client.ip }\ndefault route to logs\n",
        "rule r on web { .ok = is_public(.client.ip) .place = geo(.client.ip) del .secret, .client.ip }\ndefault route to logs\n",
    ] {
        assert_eq!(codes(fine), "", "{fine}");
    }
    for leak in [
        "default route to logs\nrule r on web when .message is present { del .client, .secret }\n",
        "default route to logs\nrule r on web { if .message is present { del .client, .secret } }\n",
        "default route to logs\nrule r on web { del .secret .a = [.client.ip] del .client }\n",
        "default route to logs\nrule r on web { .a.b = .secret keep .a }\n",
        "rule r on web { del .client route to dlq(reason: \"x\", raw: upper(.secret)) drop }\n",
    ] {
        assert!(codes(leak).contains("E501"), "{leak}: {}", codes(leak));
    }
}

#[test]
fn writes_that_nobody_reads() {
    let dead = |body: &str| {
        let text = format!(
            "source app\nsink logs : table(\"logs\")\ndefault route to logs\nrule r {{ {body} }}\n"
        );
        drawn(&compile_text(&text, Mode::Test)).contains("nothing reads this value")
    };
    assert!(dead(".a = 1 .a = 2"));
    assert!(dead(".a.b = 1 .a = { c: 2 }"));
    assert!(dead("if .x is present { .a = 1 .b = 3 .a = 2 }"));
    assert!(!dead(".a = 1 .b = .a .a = 2"));
    assert!(!dead(".a = 1 if .x is present { .a = 2 }"));
    // An absent value writes nothing.
    assert!(!dead(".a = 1 .a = int(.x)"));
    assert!(!dead(".a = 1 route to logs .a = 2"));
    assert!(!dead(".a = { b: 1 } .a.b = 2"));
    assert!(!dead(".a = 1 .a ??= 2"));
}

#[test]
fn reads_that_come_too_early() {
    let early = |rules: &str| {
        let text =
            format!("source app\nsink logs : table(\"logs\")\ndefault route to logs\n{rules}\n");
        drawn(&compile_text(&text, Mode::Test)).contains("W306")
    };
    assert!(early("rule a when .took > 5 { tag \"x\" }\nrule b { .took = 3 }"));
    assert!(!early("rule b { .took = 3 }\nrule a when .took > 5 { tag \"x\" }"));
    // Events bring it: the later rule works on it, a test has it, or it is declared.
    assert!(!early("rule a when .took > 5 { tag \"x\" }\nrule b { .took = round(.took) }"));
    assert!(!early("rule a when .took > 5 { tag \"x\" }\nrule b { .took ??= 3 }"));
    assert!(!early("rule a when .service == \"x\" { tag \"x\" }\nrule b { .service = \"y\" }"));
    assert!(!early(
        "rule a when .took > 5 { tag \"x\" }\nrule b { .took = 3 }\ntest \"t\" { given { took: 7 } expect routed }"
    ));
}

#[test]
fn sensitive_values_are_followed_into_rows_and_elements() {
    let rules = r#"window clients on web {
  over 1m
  by .client.ip
  let last_secret = last(.secret)
  let different = uniq(.secret)
  let n = count()
  route to logs
}
rule thin on web {
  limit 10/s by .client.ip else {
    route to dlq(reason: "limit", raw: .secret)
    drop
  }
  dedup by .secret within 1m else {
    del .client, .secret
    route to logs
    drop
  }
  del .client, .secret
}
default route to logs
"#;
    expect![[r#"
        E501: what is set here comes from `.secret`, which is sensitive, and `dlq` does not accept that
        E501: `.client.ip` is sensitive and reaches `logs`, which does not accept that
    "#]].assert_eq(&codes(rules));
    let elements = r#"source shop : { items: list<string>? sensitive, ... }
sink logs : { ... }
rule each on shop {
  emit each .items as .item
  del .items
}
default route to logs
"#;
    check(
        elements,
        &expect![[r#"
        error[E501]: `.item` is sensitive and reaches `logs`, which does not accept that
         --> t.rules:7:18
          |
        1 | source shop : { items: list<string>? sensitive, ... }
          |                 ------------------------------ declared sensitive here
        2 | sink logs : { ... }
          |      ---- without `@accepts_sensitive`
        ...
        7 | default route to logs
          |                  ^^^^
          |
          = note: its value comes from `.items`
          = help: remove it before (`del .item`), mask it (`redact`, `ip_mask`, a hash), or mark the sink `@accepts_sensitive`
    "#]],
    );
}

#[test]
fn answers_of_lookups_may_be_sensitive() {
    let text = r#"source web : { user: string?, ... }
lookup users(string) -> { plan: string, contact: { mail: string sensitive, city: string? } }?
sink logs : table("logs")
default route to logs
rule plain on web { .plan = users(.user).plan }
rule bound on web { let u = users(.user) else { return }  .city = u.contact.city  .who = u }
rule cleared on web { del .who.contact.mail }
rule hashed on web { .id = sha256(users(.user).contact.mail) }
rule leaks on web { .mail = lower(users(.user).contact.mail) }
"#;
    check(
        text,
        &expect![[r#"
            error[E501]: `.mail` is sensitive and reaches `logs`, which does not accept that
             --> t.rules:4:18
              |
            2 | lookup users(string) -> { plan: string, contact: { mail: string sensitive, city: string? } }?
              |                                                    ---------------------- declared sensitive here
            3 | sink logs : table("logs")
              |      ---- without `@accepts_sensitive`
            4 | default route to logs
              |                  ^^^^
              |
              = note: its value comes from `users(…).contact.mail`
              = help: remove it before (`del .mail`), mask it (`redact`, `ip_mask`, a hash), or mark the sink `@accepts_sensitive`
        "#]],
    );
}
