//! Writes small MaxMind databases, byte by byte, so tests can have any shape they want.

use std::{net::IpAddr, path::Path};

use serde_json::Value;

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Between the tree and the data.
const SEPARATOR: [u8; 16] = [0; 16];

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// Writes a database of networks and what is known of them. IPv4 lies at `::/96`, as usual.
pub(crate) fn write(path: &Path, built: u64, networks: &[(&str, Value)]) {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let (address, prefix) = network.split_once('/').expect("networks are written as a.b.c.d/n");
        let prefix: usize = prefix.parse().unwrap();
        let (bits, depth) = match address.parse::<IpAddr>().unwrap() {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), prefix + 96),
            IpAddr::V6(v6) => (u128::from(v6), prefix),
        };
        let offset = data.len();
        encode(&mut data, value);
        let mut node = 0;
        for level in 0..depth {
            let bit = (bits >> (127 - level) & 1) as usize;
            if level + 1 == depth {
                nodes[node][bit] = Record::Data(offset);
            } else {
                node = if let Record::Node(next) = nodes[node][bit] {
                    next
                } else {
                    nodes.push([Record::Nothing; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][bit] = Record::Node(next);
                    next
                };
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => count,
            Record::Node(node) => *node,
            Record::Data(offset) => count + SEPARATOR.len() + offset,
        };
        file.extend((number as u32).to_be_bytes());
    }
    file.extend(SEPARATOR);
    file.extend(data);
    file.extend(MARKER);
    control(&mut file, 7, 9);
    let number = |file: &mut Vec<u8>, name: &str, kind: u8, value: u64, width: usize| {
        text(file, name);
        control(file, kind, width);
        file.extend(&value.to_be_bytes()[8 - width..]);
    };
    number(&mut file, "binary_format_major_version", 5, 2, 2);
    number(&mut file, "binary_format_minor_version", 5, 0, 2);
    number(&mut file, "build_epoch", 9, built, 8);
    number(&mut file, "ip_version", 5, 6, 2);
    number(&mut file, "node_count", 6, count as u64, 4);
    number(&mut file, "record_size", 5, 32, 2);
    text(&mut file, "database_type");
    text(&mut file, "Test");
    text(&mut file, "description");
    encode(&mut file, &serde_json::json!({ "en": "written by a test" }));
    text(&mut file, "languages");
    encode(&mut file, &serde_json::json!(["en"]));
    std::fs::write(path, file).unwrap();
}

fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(members) => {
            control(out, 7, members.len());
            for (name, value) in members {
                text(out, name);
                encode(out, value);
            }
        }
        Value::Array(items) => {
            control(out, 11, items.len());
            for item in items {
                encode(out, item);
            }
        }
        Value::String(string) => text(out, string),
        Value::Bool(value) => control(out, 14, usize::from(*value)),
        Value::Number(number) if number.is_f64() => {
            control(out, 3, 8);
            out.extend(number.as_f64().unwrap().to_be_bytes());
        }
        Value::Number(number) => {
            control(out, 6, 4);
            out.extend((number.as_u64().unwrap() as u32).to_be_bytes());
        }
        Value::Null => panic!("the format has no null"),
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    control(out, 2, text.len());
    out.extend(text.as_bytes());
}

/// A type and a size below 285.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let short = size.min(29) as u8;
    if kind > 7 {
        out.extend([short, kind - 7]);
    } else {
        out.push(kind << 5 | short);
    }
    if size >= 29 {
        out.push((size - 29) as u8);
    }
}
