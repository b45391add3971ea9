use super::*;
use tokio::io::duplex;

/// What a server that echoes says to the bytes.
async fn said(sent: &[&[u8]]) -> String {
    let (mut client, server) = duplex(64);
    let (_keep, stop) = watch::channel(false);
    let echo = |request: Request| {
        let body = String::from_utf8(request.body).unwrap();
        Response::text(200, format!("{} {} {body}", request.method, request.path))
    };
    let serving = async { serve(server, &echo, stop).await.ok() };
    let talking = async {
        for part in sent {
            client.write_all(part).await.unwrap();
        }
        let mut said = String::new();
        // Whoever is done sends no more, as a client that hangs up does.
        client.shutdown().await.unwrap();
        client.read_to_string(&mut said).await.unwrap();
        said
    };
    let both = async { tokio::join!(serving, talking).1 };
    timeout(Duration::from_secs(60), both).await.unwrap()
}

async fn check(sent: &str, expected: &[&str]) {
    let said = said(&[sent.as_bytes()]).await;
    let statuses = said.lines().filter(|line| line.contains("HTTP/1.1 "));
    let statuses = statuses.map(|line| &line[line.find("HTTP/1.1 ").unwrap() + 9..][..3]);
    assert_eq!(statuses.collect::<Vec<_>>(), expected, "{sent:?} -> {said}");
}

#[tokio::test]
async fn requests_are_answered_one_after_the_other() {
    let said = said(&[
        b"POST /a?b=c HTTP/1.1\r\nContent-Le",
        b"ngth: 5\r\n\r\nhe",
        b"lloGET /b HTTP/1.1\r\n\r\n",
    ])
    .await;
    assert!(said.contains("\r\n\r\nPOST /a helloHTTP/1.1 200 OK"), "{said}");
    assert!(said.contains("content-length: 13"), "{said}");
    assert!(said.ends_with("GET /b "), "{said}");
}

#[tokio::test]
async fn connections_close_when_one_side_wants_it() {
    const NEXT: &str = "GET / HTTP/1.1\r\n\r\n";
    check(&format!("GET / HTTP/1.1\r\n\r\n{NEXT}"), &["200", "200"]).await;
    check(&format!("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n{NEXT}"), &["200"]).await;
    check(&format!("GET / HTTP/1.0\r\n\r\n{NEXT}"), &["200"]).await;
    check(&format!("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{NEXT}"), &["200", "200"])
        .await;
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    check("\u{16}\u{3}\u{1} hello\r\n\r\n", &["400"]).await;
    check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", &["411"]).await;
    check("POST / HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n", &["413"]).await;
    check("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", &["413"]).await;
    check("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", &["400"]).await;
    check("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", &["400"]).await;
    check("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", &["400"]).await;
    check(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)), &["431"]).await;
    check(&format!("GET / HTTP/1.1\r\na: {}", "b".repeat(HEAD_BYTES)), &["431"]).await;
    check("", &[]).await;
    check("GET / HT", &[]).await;
    check("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", &[]).await;
}

#[tokio::test]
async fn who_asks_before_sending_a_body_is_told_to_go_on() {
    const HEAD: &str = "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let (mut client, server) = duplex(1024);
    let (_keep, stop) = watch::channel(false);
    tokio::spawn(async move { serve(server, &|_: Request| Response::text(200, ""), stop).await });
    client.write_all(HEAD.as_bytes()).await.unwrap();
    let mut told = [0; 25];
    timeout(Duration::from_secs(60), client.read_exact(&mut told)).await.unwrap().unwrap();
    assert_eq!(told, *b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"ab").await.unwrap();
    let mut answer = [0; 15];
    timeout(Duration::from_secs(60), client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, *b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn an_idle_connection_ends_when_the_process_does() {
    let (_client, server) = duplex(64);
    let (stop, stopped) = watch::channel(false);
    let serving =
        tokio::spawn(
            async move { serve(server, &|_: Request| Response::text(200, ""), stopped).await },
        );
    stop.send(true).unwrap();
    timeout(Duration::from_secs(60), serving).await.unwrap().unwrap().unwrap();
}
