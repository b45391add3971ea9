use super::*;
use serde_json::json;
use std::io::Write;

type Found = Vec<Result<Document, DocumentError>>;

fn read_bytes(bytes: &[u8]) -> Found {
    let mut found = Vec::new();
    let mut reader = BufReader::with_capacity(7, bytes);
    read_stream("test.yaml", &mut reader, &mut |result| found.push(result)).unwrap();
    found
}

/// What was read, in short: `document[.item]@line json`, warnings as `!path`, errors as they print.
fn short(found: &Found) -> Vec<String> {
    let line = |line: Option<usize>| line.map(|line| format!("@{line}")).unwrap_or_default();
    let item = |item: Option<usize>| item.map(|item| format!(".{item}")).unwrap_or_default();
    let document = |d: &Document| {
        let warnings = d.warnings.iter().map(|w| format!(" !{}{}", w.path, line(w.line)));
        let place = format!("{}{}{}", d.document, item(d.item), line(d.line));
        format!("{place} {}{}", d.value, warnings.collect::<String>())
    };
    let each = |result: &Result<Document, DocumentError>| match result {
        Ok(read) => document(read),
        Err(error) => error.to_string(),
    };
    found.iter().map(each).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(short(&read_bytes(text.as_bytes())), expected, "{text}");
}

#[test]
fn documents_are_split_where_kubectl_splits_them() {
    check("kind: A\n---\nkind: B\n", &["1@1 {\"kind\":\"A\"}", "2@3 {\"kind\":\"B\"}"]);
    check("---\n# only a comment\n---\n\nkind: A\n---\n", &["1@5 {\"kind\":\"A\"}"]);
    check(
        "%YAML 1.2\n---\nkind: A\r\n--- # next\r\nkind: B",
        &["1@3 {\"kind\":\"A\"}", "2@5 {\"kind\":\"B\"}"],
    );
    check("\u{feff}kind: A\n", &["1@1 {\"kind\":\"A\"}"]);
    check("", &[]);
    check("\n\n", &[]);
    check("\n  kind: A\n  x: 1\n", &["1@2 {\"kind\":\"A\",\"x\":1}"]);
}

#[test]
fn lists_come_item_by_item() {
    check(
        "apiVersion: v1\nitems:\n- kind: A\n- kind: B\n  x: 1\nkind: List\n",
        &["1.1@3 {\"kind\":\"A\"}", "1.2@4 {\"kind\":\"B\",\"x\":1}"],
    );
    check(
        "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{\"x\":1},{\"x\":2}]}",
        &[
            "1.1 {\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"x\":1}",
            "1.2 {\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"x\":2}",
        ],
    );
    check(
        "items:\n- x: 1\nkind: PodList\napiVersion: v1\n",
        &["1.1@2 {\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"x\":1}"],
    );
    check("kind: List\nitems: []\n", &[]);
    check("{\"kind\":\"List\",\"items\":null}", &[]);
    check("[{\"kind\":\"A\"}]", &["1.1 {\"kind\":\"A\"}"]);
    check("{\"kind\":\"A\"}\n{\"kind\":\"B\"}\n", &["1 {\"kind\":\"A\"}", "2 {\"kind\":\"B\"}"]);
}

#[test]
fn an_object_that_only_has_items_is_no_list() {
    check("kind: Box\nitems:\n- a\n", &["1@1 {\"items\":[\"a\"],\"kind\":\"Box\"}"]);
    check("items:\n- a\nkind: Box\n", &["1@1 {\"items\":[\"a\"],\"kind\":\"Box\"}"]);
}

#[test]
fn a_repeated_key_takes_its_last_value_with_a_warning() {
    check("a:\n  b: 1\n  c: 0\n  b: 2\n", &["1@1 {\"a\":{\"b\":2,\"c\":0}} !a.b@4"]);
    check("{\"a\":[{\"b\":1,\"b\":2}]}", &["1 {\"a\":[{\"b\":2}]} !a[0].b"]);
    check(
        "kind: List\nitems:\n- kind: A\n- kind: B\n  kind: C\n",
        &["1.1@3 {\"kind\":\"A\"}", "1.2@4 {\"kind\":\"C\"} !kind@5"],
    );
}

#[test]
fn an_error_costs_its_document_only() {
    check(
        "kind: A\n---\na: b: c\n---\nkind: B\n",
        &[
            "1@1 {\"kind\":\"A\"}",
            "test.yaml:3:5: document 2: mapping values are not allowed in this context",
            "3@5 {\"kind\":\"B\"}",
        ],
    );
    check(
        "kind: List\nitems:\n- kind: A\n- kind: \"B\n---\nkind: C\n",
        &[
            "1.1@3 {\"kind\":\"A\"}",
            "test.yaml:4:9: document 1: while scanning a quoted scalar, found unexpected end of stream",
            "2@6 {\"kind\":\"C\"}",
        ],
    );
    check(
        "items:\n- kind: A\n",
        &[
            "1.1@2 {\"kind\":\"A\"}",
            "test.yaml: document 1: the list has no kind: the file seems to be cut off",
        ],
    );
    check(
        "{\"items\":[{\"kind\":\"A\"},{\"ki",
        &["1.1 {\"kind\":\"A\"}", "test.yaml:1:27: document 1: EOF while parsing a string"],
    );
    check(
        "just text\n",
        &["test.yaml:1: document 1: not a Kubernetes object but a single value or an array"],
    );
    check(
        "{\"kind\":\"A\"} x",
        &["1 {\"kind\":\"A\"}", "test.yaml:1:14: document 2: expected value"],
    );
}

#[test]
fn bytes_that_are_no_text_cost_their_document_only() {
    let found = read_bytes(b"kind: A\nx: \xff\n---\nkind: B\n");
    assert_eq!(
        short(&found),
        ["test.yaml:2: document 1: the line is not UTF-8 text", "2@4 {\"kind\":\"B\"}"]
    );
}

#[test]
fn anchors_and_merges_are_followed_and_bombs_are_refused() {
    check(
        "a: &x {b: 1, c: 2}\nd: *x\ne:\n  <<: *x\n  c: 3\n",
        &["1@1 {\"a\":{\"b\":1,\"c\":2},\"d\":{\"b\":1,\"c\":2},\"e\":{\"b\":1,\"c\":3}}"],
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let message = short(&read_bytes(bomb.as_bytes())).remove(0);
    assert!(message.contains("aliases stand for more than 100000 values"), "{message}");
}

#[test]
fn deep_nesting_is_refused() {
    let yaml = |depth: usize| (0..depth).map(|level| format!("{}k:\n", " ".repeat(level)));
    let found = read_bytes(yaml(200).collect::<String>().as_bytes());
    assert!(short(&found)[0].contains("nested deeper than 100 levels"), "{found:?}");
    for bracket in ["[", "{\"a\":"] {
        let found = read_bytes(format!("x: {}", bracket.repeat(50_000)).as_bytes());
        assert!(found[0].is_err());
        let found = read_bytes(bracket.repeat(50_000).as_bytes());
        assert!(found[0].is_err());
    }
}

#[test]
fn gzip_is_read_too() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"kind: A\n").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(short(&read_bytes(&packed)), ["1@1 {\"kind\":\"A\"}"]);
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let error = read_files(&[PathBuf::from("/no/such/file")], &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("/no/such/file cannot be opened"));
    assert!(read_files(&[PathBuf::from("/")], &mut |_| {}).is_err());
}

#[test]
fn scalars_are_resolved_and_quoted_ones_are_not() {
    let found = read_bytes(b"a: yes\nb: \"yes\"\nc: 010\nd: !!str 1\ne: |\n  text\nf:\n");
    let value = found[0].as_ref().map(|d| d.value.clone()).unwrap();
    let expected = json!({"a": true, "b": "yes", "c": 8, "d": "1", "e": "text\n", "f": null});
    assert_eq!(value, expected);
}
