//! A server on loopback that gives the answers it was told, in order, and keeps what it was asked: the SDK is tested as it is.

use super::Ec2Cloud;
use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer.
pub(crate) enum Answer {
    /// A status and a body.
    Says(u16, String),
    /// The connection is closed without a word.
    Hangs,
}

/// The bodies of the calls that came, decoded: `Action=CreateFleet&...`.
pub(crate) type Calls = Arc<Mutex<Vec<String>>>;

/// An EC2 error.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::Says(
        status,
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
        ),
    )
}

/// An IAM error.
pub(crate) fn iam_error(status: u16, code: &str, message: &str) -> Answer {
    Answer::Says(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ),
    )
}

/// An EC2 answer.
pub(crate) fn says(call: &str, body: &str) -> Answer {
    Answer::Says(200, format!("<{call}Response>{body}</{call}Response>"))
}

/// A cloud whose calls get these answers; a call too many gets a 500 that says so.
pub(crate) async fn cloud(answers: Vec<Answer>) -> (Ec2Cloud, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let calls = Calls::default();
    tokio::spawn(serve(listener, answers, calls.clone()));
    let credentials = Credentials::new("a", "b", None, None, "test");
    let ec2 = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials.clone());
    let iam = aws_sdk_iam::Config::builder()
        .behavior_version(aws_sdk_iam::config::BehaviorVersion::latest())
        .endpoint_url(&endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials);
    (Ec2Cloud::new(&ec2.build(), &iam.build(), "demo", None), calls)
}

async fn serve(listener: TcpListener, answers: Vec<Answer>, calls: Calls) {
    let mut answers = answers.into_iter();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        answer_one(stream, &mut answers, &calls).await;
    }
}

/// One call a connection.
async fn answer_one(
    mut stream: TcpStream,
    answers: &mut impl Iterator<Item = Answer>,
    calls: &Calls,
) {
    let call = decoded(&read_body(&mut stream).await);
    calls.lock().unwrap().push(call);
    let (status, body) = match answers.next() {
        Some(Answer::Says(status, body)) => (status, body),
        Some(Answer::Hangs) => return,
        None => (500, "<Response>a call too many</Response>".to_owned()),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all((head + &body).as_bytes()).await.unwrap();
}

async fn read_body(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let (_, length) = head.split_once("content-length: ").unwrap();
            let length = length.lines().next().unwrap().parse::<usize>().unwrap();
            if body.len() >= length {
                return body.to_owned();
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "half a request: {text}");
    }
}

fn decoded(form: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = form.bytes();
    while let Some(byte) = rest.next() {
        let mut hex = || (rest.next().unwrap() as char).to_digit(16).unwrap() as u8;
        bytes.push(if byte == b'%' { hex() * 16 + hex() } else { byte });
    }
    String::from_utf8(bytes).unwrap()
}
