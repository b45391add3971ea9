//! Rust source as far as the rules need it: code without comments and strings, the strings, and which lines are tests.

/// One file.
pub(crate) struct Source {
    /// The path from the top of the repository.
    pub(crate) file: String,
    /// The file as it is, by line.
    pub(crate) text: Vec<String>,
    /// The code by line, with comments and the contents of strings blanked, and whole lines of tests blanked.
    pub(crate) code: Vec<String>,
    /// String literals outside tests: line from 1, and contents.
    pub(crate) strings: Vec<(usize, String)>,
    /// Whether the whole file serves tests.
    pub(crate) is_test: bool,
    /// How many lines the file has without its tests.
    pub(crate) lines: usize,
}

impl Source {
    /// Reads a file.
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let masked = Masked::new(text);
        let mut code = masked.code.lines().map(str::to_owned).collect::<Vec<_>>();
        let tests = tests(&code);
        for line in code.iter_mut().zip(&tests).filter(|(_, test)| **test).map(|(line, _)| line) {
            line.clear();
        }
        let outside = |(line, _): &(usize, String)| !tests.get(line - 1).is_some_and(|test| *test);
        Self {
            file: file.to_owned(),
            text: text.lines().map(str::to_owned).collect(),
            lines: tests.iter().filter(|test| !**test).count(),
            strings: masked.strings.into_iter().filter(outside).collect(),
            is_test: serves_tests(file),
            code,
        }
    }
}

/// By the conventions of cargo and of this house.
fn serves_tests(file: &str) -> bool {
    file.starts_with("tests/")
        || file.contains("/tests/")
        || file.ends_with("/tests.rs")
        || file.ends_with("/testing.rs")
}

/// Which lines belong to items under `#[cfg(test)]`. Relies on rustfmt: an item ends at the bracket under its beginning.
fn tests(code: &[String]) -> Vec<bool> {
    let mut tests = vec![false; code.len()];
    let mut at = 0;
    while at < code.len() {
        if code[at].trim() == "#[cfg(test)]" {
            let indent = code[at].len() - code[at].trim_start().len();
            let end = (at + 1..code.len()).find(|line| ends_item(&code[*line], indent));
            let end = end.unwrap_or(code.len() - 1);
            tests[at..=end].fill(true);
            at = end;
        }
        at += 1;
    }
    tests
}

fn ends_item(line: &str, indent: usize) -> bool {
    let own = line.len() - line.trim_start().len() == indent;
    own && (line.trim_end().ends_with(';') || line.trim_start().starts_with('}'))
}

/// Source with comments and strings taken out.
struct Masked {
    code: String,
    strings: Vec<(usize, String)>,
}

impl Masked {
    fn new(text: &str) -> Self {
        let mut masked = Self { code: String::new(), strings: Vec::new() };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (length, opening, closing) = token(rest).unwrap_or((first.len_utf8(), 0, 0));
            let (token, after) = rest.split_at(length);
            if closing > 0 {
                let line = masked.code.matches('\n').count() + 1;
                let contents = token.get(opening..token.len() - closing).unwrap_or_default();
                masked.strings.push((line, contents.to_owned()));
            }
            masked.push(token, length > first.len_utf8());
            rest = after;
        }
        masked
    }

    /// Keeps code; of what is blanked, keeps the line ends.
    fn push(&mut self, token: &str, blank: bool) {
        if !blank || token.chars().all(is_name) {
            return self.code.push_str(token);
        }
        let kept = |character| if character == '\n' { '\n' } else { ' ' };
        self.code.extend(token.chars().map(kept));
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The comment, string, character or name at the beginning: its length, and for a string what opens and closes it.
fn token(text: &str) -> Option<(usize, usize, usize)> {
    if text.starts_with("//") {
        return Some((text.find('\n').unwrap_or(text.len()), 0, 0));
    }
    if text.starts_with("/*") {
        return Some((text.find("*/").map_or(text.len(), |end| end + 2), 0, 0));
    }
    if let Some(string) = raw_string(text).or_else(|| plain_string(text)) {
        return Some(string);
    }
    if let Some(rest) = text.strip_prefix('\'') {
        return character(rest).map(|length| (length + 1, 0, 0));
    }
    let name = text.find(|character| !is_name(character)).unwrap_or(text.len());
    (name > 0).then_some((name, 0, 0))
}

fn raw_string(text: &str) -> Option<(usize, usize, usize)> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let opening = text.len() - after.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text[opening..].find(&end).map_or(text.len(), |at| opening + at + end.len());
    Some((length, opening, end.len()))
}

fn plain_string(text: &str) -> Option<(usize, usize, usize)> {
    let after = text.strip_prefix('b').unwrap_or(text).strip_prefix('"')?;
    let opening = text.len() - after.len();
    let mut escaped = false;
    for (at, character) in after.char_indices() {
        match character {
            '"' if !escaped => return Some((opening + at + 1, opening, 1)),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some((text.len(), opening, 0))
}

/// The length of a character literal after its first quote; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let escape = rest.strip_prefix('\\');
    let first = escape.unwrap_or(rest).chars().next()?.len_utf8() + usize::from(escape.is_some());
    let long = escape.is_some_and(|escape| escape.starts_with('u') || escape.starts_with('x'));
    let close = if long { rest.find('\'')? } else { first };
    rest[close..].starts_with('\'').then_some(close + 1)
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let source = Source::new(
            "a.rs",
            "let a = \"un\\\"safe\"; // unsafe\nlet b = r#\"x \"y\" \"#; /* unsafe\n unsafe */ let c = '\"';\nlet d: &'a str = \"z\";",
        );
        let code = source.code.join("\n");
        assert!(
            !code.contains("safe") && code.contains("let c") && code.contains("let d: &'a str")
        );
        let strings = [(1, "un\\\"safe"), (2, "x \"y\" "), (4, "z")];
        assert_eq!(source.strings, strings.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn tests_are_told_from_the_product() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
        let source = Source::new("a.rs", text);
        assert_eq!(source.lines, 2);
        let code = source.code.join("");
        assert!(code.contains("fn a") && code.contains("fn c") && !code.contains("fn b"));
        assert!(
            serves_tests("shared/api/src/tests/mod.rs") && !serves_tests("shared/api/src/lib.rs")
        );
    }
}
