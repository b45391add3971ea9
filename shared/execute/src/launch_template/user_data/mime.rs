//! MIME archives, as cloud-init and nodeadm read them. Parts are never decoded: a part is the text between two boundary lines,
//! headers and all, and goes on byte for byte.
//!
//! Only a line that is nothing but the boundary (and white space) divides, so a commented one inside a script does not. A part that
//! opens with a blank line has no headers and stays plain text. Rules: RFC 2046 5.1.1, as Python's `email` reads them.

use base64::Engine;

/// The type of a shell script.
pub(super) const SHELL: &str = "text/x-shellscript";

/// Whether user data is meant as a MIME archive.
pub(super) fn is_archive(text: &str) -> bool {
    let start = text.trim_start().get(..24).unwrap_or_else(|| text.trim_start());
    let start = start.to_ascii_lowercase();
    start.starts_with("mime-version:") || start.starts_with("content-type: multipart")
}

/// The parts of an archive, each with its headers.
pub(super) fn parts(text: &str) -> Result<Vec<&str>, String> {
    let text = text.trim_start();
    let (headers, body) = split_headers(text);
    let boundary = boundary(headers)
        .ok_or("it is MIME, but its Content-Type is not `multipart/...; boundary=\"...\"`")?;
    let parts = between(body, &boundary);
    if parts.is_empty() {
        let message = format!("it is MIME, but no line is its boundary, `--{boundary}`");
        return Err(message);
    }
    Ok(parts)
}

/// Headers and the body that follows the first blank line.
fn split_headers(text: &str) -> (&str, &str) {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        offset += line.len();
        if line.trim_end_matches(['\r', '\n']).is_empty() {
            break;
        }
    }
    text.split_at(offset)
}

/// The boundary that a multipart Content-Type names. A header may go on in lines that begin with white space.
fn boundary(headers: &str) -> Option<String> {
    let unfolded = headers.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let content_type = unfolded.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    })?;
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty())
            .then(|| value.to_owned())
    })
}

/// What lies between the boundary lines. Without a closing one the last part goes to the end, as cloud-init reads it.
fn between<'a>(body: &'a str, boundary: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut offset = 0;
    for line in body.split_inclusive('\n') {
        let delimiter = delimiter(line, boundary);
        if delimiter.is_some() {
            parts.extend(start.map(|start| without_last_line_break(&body[start..offset])));
            start = None;
        }
        offset += line.len();
        match delimiter {
            Some(Delimiter::Opens) => start = Some(offset),
            Some(Delimiter::Closes) => return parts,
            None => {}
        }
    }
    parts.extend(start.map(|start| &body[start..]));
    parts
}

#[derive(Clone, Copy)]
enum Delimiter {
    Opens,
    Closes,
}

fn delimiter(line: &str, boundary: &str) -> Option<Delimiter> {
    let rest = line.strip_prefix("--")?.strip_prefix(boundary)?;
    let (kind, rest) = match rest.strip_prefix("--") {
        Some(rest) => (Delimiter::Closes, rest),
        None => (Delimiter::Opens, rest),
    };
    rest.trim_matches([' ', '\t', '\r', '\n']).is_empty().then_some(kind)
}

/// The line break before a boundary belongs to the boundary.
fn without_last_line_break(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

/// The type of user data that is not MIME, by its first line, as cloud-init tells them apart.
pub(super) fn content_type(text: &str) -> Option<&'static str> {
    let first = text.lines().next().unwrap_or_default().trim_end();
    match first {
        "#cloud-config" => Some("text/cloud-config"),
        "#cloud-boothook" => Some("text/cloud-boothook"),
        _ => None,
    }
}

/// A part of that type. Scripts beyond ASCII are encoded: cloud-init would read them as Latin-1 otherwise.
pub(super) fn part(kind: &str, content: &str) -> String {
    let header = format!("Content-Type: {kind}; charset=\"us-ascii\"\n");
    match (kind, content.is_ascii()) {
        ("application/node.eks.aws", _) => format!("Content-Type: {kind}\n\n{content}"),
        (_, true) => format!("{header}\n{content}"),
        (_, false) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(content);
            format!(
                "Content-Type: {kind}; charset=\"utf-8\"\nContent-Transfer-Encoding: base64\n\n{encoded}"
            )
        }
    }
}

/// An archive of these parts, under the first boundary that no part holds: `//`, `/1/`, `/2/` ...
pub(super) fn archive(parts: &[String]) -> String {
    let taken = |boundary: &str| {
        let delimiter = format!("--{boundary}");
        parts.iter().any(|part| part.lines().any(|line| line.starts_with(&delimiter)))
    };
    let mut boundary = "//".to_owned();
    let mut number = 0;
    while taken(&boundary) {
        number += 1;
        boundary = format!("/{number}/");
    }
    let mut text =
        format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n");
    for part in parts {
        text.push_str(&format!("--{boundary}\n{part}\n"));
    }
    text.push_str(&format!("--{boundary}--\n"));
    text
}

#[cfg(test)]
mod tests;
