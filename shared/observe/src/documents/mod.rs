//! Kubernetes objects from files, read as kubectl reads them: YAML documents or JSON, lists item by item, gzip or plain.
//!
//! One object is held at a time, so that a dump may be far larger than memory. A document that cannot be read is reported
//! with its place and the next one is read.

mod delivery;
mod json;
mod lines;
mod path;
mod scalar;
mod yaml;

use delivery::Delivery;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Deeper than any Kubernetes object; more would only exhaust the stack.
pub(crate) const DEEPEST: usize = 100;

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file's name as given; `-` is standard input.
    pub file: String,
    /// Which document of the file, from 1; empty documents do not count.
    pub document: usize,
    /// Which item, from 1, if the document is a list.
    pub item: Option<usize>,
    /// The line on which the object begins, from 1; JSON has none.
    pub line: Option<usize>,
    /// The object.
    pub value: Value,
    /// What was odd about it.
    pub warnings: Vec<DocumentWarning>,
}

/// Something odd that does not keep an object from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentWarning {
    /// The field: `spec.ttlSecondsAfterEmpty`.
    pub path: String,
    /// What is odd.
    pub message: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
}

/// A document that cannot be read, in whole or from this place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// The file's name as given.
    pub file: String,
    /// Which document of the file, from 1.
    pub document: usize,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl std::error::Error for DocumentError {}

impl fmt::Display for DocumentError {
    /// `dump.yaml:12:3: document 2: mapping values are not allowed here`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))?;
        self.column.map_or(Ok(()), |column| write!(f, ":{column}"))?;
        write!(f, ": document {}: {}", self.document, self.message)
    }
}

/// A file that cannot be opened at all.
#[derive(Debug, Error)]
#[error("{file} cannot be opened")]
pub struct ReadError {
    /// The file's name as given.
    pub file: String,
    /// Why.
    pub source: io::Error,
}

/// What takes the objects as they are read.
pub type Sink<'a> = dyn FnMut(Result<Document, DocumentError>) + 'a;

/// Reads all objects of the files, in order, into the sink. `-` is standard input.
pub fn read_files(paths: &[PathBuf], sink: &mut Sink<'_>) -> Result<(), ReadError> {
    for path in paths {
        let file = path.display().to_string();
        let failed = |source| ReadError { file: file.clone(), source };
        let mut reader = open(path).map_err(failed)?;
        read_stream(&file, &mut reader, sink).map_err(failed)?;
    }
    Ok(())
}

/// Reads all objects of a stream. Only a stream of which not even the beginning can be read is an error.
pub fn read_stream(file: &str, reader: &mut dyn BufRead, sink: &mut Sink<'_>) -> io::Result<()> {
    let head = reader.fill_buf()?;
    if head.starts_with(&[0x1f, 0x8b]) {
        let mut plain = BufReader::new(MultiGzDecoder::new(reader));
        return read_plain(file, &mut plain, sink);
    }
    read_plain(file, reader, sink)
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let reader: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    // A directory opens, and only reading shows what it is.
    reader.fill_buf()?;
    Ok(Box::new(reader))
}

fn read_plain(file: &str, reader: &mut dyn BufRead, sink: &mut Sink<'_>) -> io::Result<()> {
    let mut delivery = Delivery::new(file, sink);
    let blank = skip_blank(reader)?;
    match reader.fill_buf()?.first() {
        Some(b'{' | b'[') => json::read(reader, &mut delivery),
        Some(_) => yaml::read(reader, blank, &mut delivery),
        None => {}
    }
    Ok(())
}

/// Skips a byte-order mark and blank lines, so that JSON is known by its first character; returns the lines skipped.
/// Blanks that begin a line with text are kept, for they may be YAML's indentation.
fn skip_blank(reader: &mut dyn BufRead) -> io::Result<usize> {
    if reader.fill_buf()?.starts_with(&[0xef, 0xbb, 0xbf]) {
        reader.consume(3);
    }
    let mut lines = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let json = matches!(buffer.get(blank), Some(b'{' | b'['));
        let whole_lines =
            buffer[..blank].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let skipped = if json { blank } else { whole_lines };
        lines += buffer[..skipped].iter().filter(|byte| **byte == b'\n').count();
        let go_on = skipped == buffer.len() && skipped > 0;
        reader.consume(skipped);
        if !go_on {
            return Ok(lines);
        }
    }
}

#[cfg(test)]
mod tests;
