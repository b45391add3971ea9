//! Ways to spoil a file.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Words that readers have stumbled over somewhere.
const WORDS: [&str; 40] = [
    "-1",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e400",
    "1e-400",
    "NaN",
    ".inf",
    "0x7fffffff",
    "0.1m",
    "9999999999999999Ei",
    "-5m",
    "1Ki",
    "5GB",
    "null",
    "~",
    "true",
    "{}",
    "[]",
    "''",
    "\"",
    "&a [*a]",
    "*a",
    "!!binary x",
    "<<: *a",
    "---",
    "...",
    "%YAML 9.9",
    "\t",
    "- - - -",
    ": :",
    "? x",
    "2026-13-45T99:99:99Z",
    "99999d",
    "@every 0s",
    "In",
    "Gt",
    "ä\u{202e}\u{0}",
    "|2-",
];

/// One of the texts, damaged one to four times.
pub(crate) fn damage(texts: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut text = texts[random.usize(..texts.len())].clone();
    if random.u8(..3) == 0 {
        text = in_values(&text, random);
    }
    for _ in 0..random.u8(1..5) {
        text = match random.u8(..8) {
            0 => in_bytes(text, random),
            1 => splice(text, &texts[random.usize(..texts.len())], random),
            2..=4 => in_lines(&text, random),
            _ => in_words(&text, random),
        };
    }
    text
}

fn in_bytes(mut text: Vec<u8>, random: &mut Rng) -> Vec<u8> {
    let at = random.usize(..text.len().max(1)).min(text.len());
    match random.u8(..4) {
        0 => text.truncate(at),
        1 => text.insert(at, random.u8(..)),
        2 => text.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.u8(..8)),
        _ => drop(text.drain(at..(at + random.usize(1..40)).min(text.len()))),
    }
    text
}

/// A piece of another file in the middle of this one.
fn splice(text: Vec<u8>, other: &[u8], random: &mut Rng) -> Vec<u8> {
    let at = random.usize(..=text.len());
    let from = random.usize(..=other.len());
    let to = (from + random.usize(..400)).min(other.len());
    [&text[..at], &other[from..to], &text[at..]].concat()
}

fn in_lines(text: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (at, other) = (random.usize(..lines.len()), random.usize(..lines.len()));
    match random.u8(..5) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => lines[at].splice(0..0, std::iter::repeat_n(b' ', random.usize(1..5))).for_each(drop),
        _ => {
            let (from, to) = (at.min(other), at.max(other));
            let copies = lines[from..to].to_vec();
            lines.splice(from..from, copies).for_each(drop);
        }
    }
    lines.join(&b'\n')
}

/// Another word in the place of one.
fn in_words(text: &[u8], random: &mut Rng) -> Vec<u8> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-./_".contains(byte);
    let at = random.usize(..text.len().max(1)).min(text.len());
    let from = text[..at].iter().rposition(|byte| !is_part(byte)).map_or(0, |end| end + 1);
    let to = text[at..].iter().position(|byte| !is_part(byte)).map_or(text.len(), |end| at + end);
    let word = WORDS[random.usize(..WORDS.len())].as_bytes();
    [&text[..from], word, &text[to..]].concat()
}

/// The file's objects as JSON, with other values in some places. A file that cannot be read stays as it is.
fn in_values(text: &[u8], random: &mut Rng) -> Vec<u8> {
    let file = tempfile(random);
    std::fs::write(&file, text).unwrap();
    let mut objects = Vec::new();
    let read = observe::documents::read_files(std::slice::from_ref(&file), &mut |document| {
        objects.extend(document.ok().map(|document| document.value));
    });
    std::fs::remove_file(&file).unwrap();
    if read.is_err() {
        return text.to_vec();
    }
    let mut list = Value::Array(objects);
    for _ in 0..random.u8(1..6) {
        change(&mut list, random);
    }
    let whole = json!({ "apiVersion": "v1", "kind": "List", "items": list });
    serde_json::to_vec_pretty(&whole).unwrap()
}

fn tempfile(random: &mut Rng) -> std::path::PathBuf {
    let name = format!("fuzz-{:x}-{:?}", random.u64(..), std::thread::current().id());
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Goes down to some value and changes it.
fn change(value: &mut Value, random: &mut Rng) {
    let stops = random.u8(..6) == 0;
    match value {
        Value::Array(items) if !items.is_empty() && !stops => {
            let at = random.usize(..items.len());
            change(&mut items[at], random);
        }
        Value::Object(fields) if !fields.is_empty() && !stops => {
            let key = fields.keys().nth(random.usize(..fields.len())).cloned().unwrap();
            match random.u8(..8) {
                0 => drop(fields.remove(&key)),
                1 => rename(fields, &key, random),
                _ => change(&mut fields[&key], random),
            }
        }
        Value::Array(items) if random.bool() => {
            let copies = items.iter().cycle().take(items.len() * 5).cloned().collect::<Vec<_>>();
            *items = copies;
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => *value = odd(random),
    }
}

fn rename(fields: &mut Map<String, Value>, key: &str, random: &mut Rng) {
    if let Some(value) = fields.remove(key) {
        fields.insert(WORDS[random.usize(..WORDS.len())].to_owned(), value);
    }
}

fn odd(random: &mut Rng) -> Value {
    match random.u8(..9) {
        0 => Value::Null,
        1 => json!({}),
        2 => json!([]),
        3 => json!(i64::MAX),
        4 => json!(-1),
        5 => json!(1e300),
        6 => json!("x".repeat(5_000)),
        7 => json!([[{ "key": [null] }]]),
        _ => json!(WORDS[random.usize(..WORDS.len())]),
    }
}
