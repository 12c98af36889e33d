//! What a user agent says of itself: ordered names, the first that stands in the text wins.
//!
//! Half of all user agents name several browsers for old times' sake, so the order of the lists is the knowledge.

use super::records::{FieldSpec, maybe};
use crate::{column::Value, types::Type};

/// What `parse_user_agent` yields.
pub(super) const FIELDS: &[FieldSpec] = &[
    ("browser", Type::Text, true),
    ("browser_version", Type::Text, true),
    ("os", Type::Text, true),
    ("os_version", Type::Text, true),
    ("device", Type::Text, false),
    ("vendor", Type::Text, true),
];

/// Text to look for, and the browser's name; the version stands behind the text.
const BROWSERS: [(&str, &str); 33] = [
    ("Googlebot/", "Googlebot"),
    ("bingbot/", "Bingbot"),
    ("YandexBot/", "YandexBot"),
    ("GPTBot/", "GPTBot"),
    ("AhrefsBot/", "AhrefsBot"),
    ("facebookexternalhit/", "Facebook"),
    ("Slackbot", "Slackbot"),
    ("EdgiOS/", "Edge"),
    ("EdgA/", "Edge"),
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("Opera/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("UCBrowser/", "UC Browser"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chrome/", "Chrome"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    ("Version/", "Safari"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "python-requests"),
    ("Go-http-client/", "Go"),
    ("okhttp/", "OkHttp"),
    ("Apache-HttpClient/", "Apache HttpClient"),
    ("kube-probe/", "kube-probe"),
    ("PostmanRuntime/", "Postman"),
];

/// Text to look for, and the system's name; the version stands behind the text.
const SYSTEMS: [(&str, &str); 10] = [
    ("Windows NT ", "Windows"),
    ("Windows Phone ", "Windows Phone"),
    ("CPU iPhone OS ", "iOS"),
    ("CPU OS ", "iPadOS"),
    ("Android ", "Android"),
    ("Mac OS X ", "macOS"),
    ("Mac OS X", "macOS"),
    ("CrOS ", "ChromeOS"),
    ("Ubuntu", "Ubuntu"),
    ("Linux", "Linux"),
];

const BOTS: [&str; 12] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "externalhit",
    "curl/",
    "wget/",
    "python-",
    "go-http-client",
    "java/",
    "probe",
    "monitor",
];

/// Reads a user agent; any text is one.
#[expect(clippy::unnecessary_wraps, reason = "parsers of records share one signature")]
pub(super) fn parse(text: &str) -> Option<Vec<Value<'_>>> {
    let text = start_of(text);
    let browser = named(text, &BROWSERS);
    let system = named(text, &SYSTEMS);
    let device = device(text, system.map(|(name, _)| name));
    Some(vec![
        maybe(browser.map(|(name, _)| name)),
        maybe(browser.and_then(|(_, behind)| version(behind))),
        maybe(system.map(|(name, _)| name)),
        system
            .filter(|(name, _)| *name != "ChromeOS")
            .and_then(|(_, behind)| version(behind))
            .map_or(maybe(None), |version| {
                if version.contains('_') {
                    Value::owned(version.replace('_', "."))
                } else {
                    Value::text(version)
                }
            }),
        Value::text(device),
        maybe(None),
    ])
}

/// What comes behind is never a name, and a header may be long.
fn start_of(text: &str) -> &str {
    const READ: usize = 1024;
    let mut end = text.len().min(READ);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Reads a user agent by a database of names; what it does not know is read the fast way.
pub(super) fn parse_full(text: &str) -> Option<Vec<Value<'_>>> {
    let text = start_of(text);
    let Some(found) = woothee::parser::Parser::new().parse(text) else { return parse(text) };
    let some = |part: &str| match part {
        "UNKNOWN" | "" => maybe(None),
        part => Value::owned(part.to_owned()),
    };
    let tablet = device(text, named(text, &SYSTEMS).map(|(name, _)| name)) == "tablet";
    let kind = match found.category {
        "pc" => "desktop",
        "smartphone" if tablet => "tablet",
        "smartphone" | "mobilephone" => "mobile",
        "crawler" => "bot",
        "appliance" => "appliance",
        _ => "other",
    };
    Some(vec![
        some(found.name),
        some(found.version),
        some(found.os),
        some(&found.os_version),
        Value::text(kind),
        some(found.vendor),
    ])
}

/// The first name of the list that stands in the text, and what follows it there.
fn named<'t>(text: &'t str, names: &[(&str, &'static str)]) -> Option<(&'static str, &'t str)> {
    names.iter().find_map(|(needle, name)| {
        let at = memchr::memmem::find(text.as_bytes(), needle.as_bytes())?;
        Some((*name, &text[at + needle.len()..]))
    })
}

/// The digits, points and underscores at the start.
fn version(text: &str) -> Option<&str> {
    let end =
        text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let version = text[..end].trim_end_matches(['.', '_']);
    (!version.is_empty()).then_some(version)
}

fn device(text: &str, system: Option<&str>) -> &'static str {
    let lower = text.to_ascii_lowercase();
    if BOTS.iter().any(|bot| lower.contains(bot)) {
        return "bot";
    }
    match system {
        Some("iPadOS") => "tablet",
        Some("Android") if !text.contains("Mobile") => "tablet",
        Some("iOS" | "Android" | "Windows Phone") => "mobile",
        Some(_) => "desktop",
        None => "other",
    }
}
