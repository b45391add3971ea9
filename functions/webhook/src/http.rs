//! A server of small HTTP/1.1 requests, over whatever stream it is given.
//!
//! API servers call admission webhooks, kubelets probe and Prometheus scrapes by HTTP/1.1 with a Content-Length at most, so that
//! is what there is: `httparse` reads heads, bodies have a length, everything has a bound. Chunked bodies are refused (411).

use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

/// The most bytes of a request line and its headers.
const HEAD_BYTES: usize = 16 << 10;
/// The most bytes of a body: two objects of etcd's 1.5 MB and what is around them.
const BODY_BYTES: usize = 4 << 20;
/// The most headers.
const HEADERS: usize = 64;
/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(120);
/// How long a request may take to arrive, and an answer to leave.
const TRANSFER: Duration = Duration::from_secs(10);

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// `GET`, `POST`.
    pub(crate) method: String,
    /// The path without its query.
    pub(crate) path: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The content type.
    pub(crate) content_type: &'static str,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// An answer in plain text.
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }

    fn bytes(&self, keep_open: bool) -> Vec<u8> {
        let connection = if keep_open { "keep-alive" } else { "close" };
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: {connection}\r\n\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
        )
        .into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// A head that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Head {
    request: Request,
    /// Its length in bytes.
    length: usize,
    /// The body's length in bytes.
    body: usize,
    /// Whether the client wants to send more on the same connection.
    keep_open: bool,
    /// Whether the client waits to be told to send the body.
    expects: bool,
}

/// Reads a head; `None` if it is not all there yet, an error status if it is not to be served.
fn head(bytes: &[u8]) -> Result<Option<Head>, u16> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(_) => return Err(400),
    };
    let path = parsed.path.unwrap_or_default();
    let mut head = Head { length, keep_open: parsed.version == Some(1), ..Head::default() };
    head.request.method = parsed.method.unwrap_or_default().to_owned();
    head.request.path = path.split('?').next().unwrap_or_default().to_owned();
    let mut has_length = false;
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| 400u16)?.trim();
        match header.name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => return Err(411),
            "content-length" if has_length => return Err(400),
            "content-length" => {
                has_length = true;
                head.body = content_length(value)?;
            }
            "connection" => head.keep_open = is_kept_open(value, head.keep_open),
            "expect" => head.expects = value.eq_ignore_ascii_case("100-continue"),
            _ => {}
        }
    }
    Ok(Some(head))
}

fn content_length(value: &str) -> Result<usize, u16> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(400);
    }
    value.parse().ok().filter(|length| *length <= BODY_BYTES).ok_or(413)
}

fn is_kept_open(value: &str, otherwise: bool) -> bool {
    let has = |word: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    !has("close") && (otherwise || has("keep-alive"))
}

/// Serves one connection until it ends, fails, or `stop` says so between two requests.
pub(crate) async fn serve<S>(
    mut stream: S,
    answer: &impl Fn(Request) -> Response,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    loop {
        if buffer.is_empty() {
            let begins = tokio::select! {
                read = timeout(IDLE, stream.read_buf(&mut buffer)) => read??,
                _ = stop.wait_for(|stop| *stop) => 0,
            };
            if begins == 0 {
                return Ok(());
            }
        }
        let (response, keep_open) =
            match timeout(TRANSFER, receive(&mut stream, &mut buffer)).await?? {
                Ok((request, keep_open)) => (answer(request), keep_open && !*stop.borrow()),
                Err(status) => (Response::text(status, reason(status)), false),
            };
        timeout(TRANSFER, stream.write_all(&response.bytes(keep_open))).await??;
        timeout(TRANSFER, stream.flush()).await??;
        if !keep_open {
            return timeout(TRANSFER, stream.shutdown()).await?;
        }
        buffer.shrink_to(HEAD_BYTES);
    }
}

/// One request, and whether the connection stays open after it; or the status to refuse it with.
async fn receive<S>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> io::Result<Result<(Request, bool), u16>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = loop {
        match head(buffer) {
            Ok(Some(head)) => break head,
            Ok(None) => more(stream, buffer).await?,
            Err(status) => return Ok(Err(status)),
        }
    };
    if head.expects && buffer.len() < head.length + head.body {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    while buffer.len() < head.length + head.body {
        more(stream, buffer).await?;
    }
    let rest = buffer.split_off(head.length + head.body);
    let body = std::mem::replace(buffer, rest).split_off(head.length);
    Ok(Ok((Request { body, ..head.request }, head.keep_open)))
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "http/tests.rs"]
mod tests;
