//! The lines of a YAML stream, split into documents where kubectl splits them: at lines that begin with `---`.

use std::cell::Cell;
use std::io::BufRead;
use std::rc::Rc;

/// The lines of a stream, of which one document is seen at a time.
pub(crate) struct Lines<'r> {
    reader: &'r mut dyn BufRead,
    line: String,
    position: usize,
    /// The number of `line`, from 1.
    number: usize,
    /// Whether `line` has been handed out or ends the document.
    ended: bool,
    /// Why no more of the document can be read.
    failure: Option<Failure>,
    /// Whether there is such a reason: shared with whoever builds the tree, who must not take a broken end for the end.
    failed: Rc<Cell<bool>>,
    /// Whether the stream itself is broken.
    broken: bool,
}

/// A line that cannot be read.
pub(crate) struct Failure {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl<'r> Lines<'r> {
    pub(crate) fn new(reader: &'r mut dyn BufRead, skipped: usize) -> Self {
        let (line, failed) = (String::new(), Rc::default());
        Self {
            reader,
            line,
            position: 0,
            number: skipped,
            ended: false,
            failure: None,
            failed,
            broken: false,
        }
    }

    /// Goes to the first line with content of the next document; returns its number, or `None` at the end of the stream.
    pub(crate) fn next_document(&mut self) -> Option<usize> {
        self.ended = false;
        while self.advance() {
            let text = self.line.trim_start();
            let directive = self.line.starts_with('%');
            if !(text.is_empty() || text.starts_with('#') || directive || self.is_separator()) {
                return Some(self.number);
            }
        }
        None
    }

    /// Skips what is left of the document.
    pub(crate) fn skip_document(&mut self) {
        while !self.ended && self.advance() {
            self.ended = self.is_separator();
        }
    }

    /// Tells while the document is read whether it broke.
    pub(crate) fn failed(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.failed)
    }

    /// Why the document cannot be read further, once.
    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.failed.set(false);
        self.failure.take()
    }

    fn is_separator(&self) -> bool {
        self.line.starts_with("---")
    }

    /// Reads the next line; `false` at the end of the stream or where it breaks.
    fn advance(&mut self) -> bool {
        if self.broken {
            return false;
        }
        self.position = 0;
        let mut bytes = std::mem::take(&mut self.line).into_bytes();
        bytes.clear();
        let read = self.reader.read_until(b'\n', &mut bytes);
        self.number += 1;
        let fail = |message: String| Some(Failure { line: self.number, message });
        match (read, String::from_utf8(bytes)) {
            (Ok(0), _) => return false,
            (Ok(_), Ok(line)) => self.line = line,
            (Ok(_), Err(_)) => self.failure = fail("the line is not UTF-8 text".to_owned()),
            (Err(error), _) => {
                self.broken = true;
                self.failure = fail(format!("cannot be read: {error}"));
            }
        }
        self.failed.set(self.failure.is_some());
        !self.broken
    }
}

/// The characters of the current document.
impl Iterator for &mut Lines<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.ended || self.failure.is_some() {
            return None;
        }
        if self.position == self.line.len() {
            self.ended = !self.advance() || self.is_separator();
            if self.ended || self.failure.is_some() {
                return None;
            }
        }
        let rest = self.line.get(self.position..)?;
        let character = rest.chars().next()?;
        self.position += character.len_utf8();
        Some(character)
    }
}
