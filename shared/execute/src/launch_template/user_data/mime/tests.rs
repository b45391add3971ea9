use super::*;

fn check(text: &str, expected: &[&str]) {
    assert_eq!(parts(text).unwrap(), expected, "{text:?}");
}

const HEAD: &str = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n";

#[test]
fn parts_are_what_lies_between_lines_that_are_nothing_but_the_boundary() {
    let of = |body: &str| format!("{HEAD}{body}");
    check(&of("--B\na\n--B--\n"), &["a"]);
    check(&of("preamble\n--B\na\n--B\nb\n--B--\nepilogue\n--B\nno"), &["a", "b"]);
    check(&of("--B\n# --B\n --B\n--Bx\n--B x\n--B--\n"), &["# --B\n --B\n--Bx\n--B x"]);
    check(&of("--B \t\r\na\r\n\r\n--B--\r\n"), &["a\r\n"]);
    check(&of("--B\n\nbody\n--B--"), &["\nbody"]);
    check(&of("--B\n--B--"), &[""]);
    check(&of("--B\na\n"), &["a\n"]);
    check(
        &of("--B\nX: y\n\nbody\n--B\n\nContent-Type: z\n\nc\n--B--"),
        &["X: y\n\nbody", "\nContent-Type: z\n\nc"],
    );
}

#[test]
fn headers_are_read_as_people_write_them() {
    let check = |headers: &str| check(&format!("{headers}\n\n--B\na\n--B--"), &["a"]);
    check("Content-Type: multipart/mixed; boundary=B\nMIME-Version: 1.0");
    check("\n MIME-Version: 1.0\ncontent-type: Multipart/Mixed; charset=x; Boundary=\"B\"");
    check("MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"B\"\r");
}

#[test]
fn an_archive_is_told_by_its_first_header() {
    for text in [HEAD, "\n mime-version: 1.0", "Content-Type: multipart/mixed; boundary=x\n\n"] {
        assert!(is_archive(text), "{text:?}");
    }
    for text in ["", "#!/bin/sh\nMIME-Version: 1.0", "é".repeat(40).as_str(), "Content: x"] {
        assert!(!is_archive(text), "{text:?}");
    }
}

#[test]
fn scripts_beyond_ascii_are_encoded() {
    let expected = "Content-Type: text/x-shellscript; charset=\"utf-8\"\nContent-Transfer-Encoding: base64\n\nw6k=";
    assert_eq!(part(SHELL, "é"), expected);
}

/// Lines that look like boundaries, headers and ends of all kinds.
const LINES: [&str; 11] =
    ["", "\r", "a", "é", "--//", "--//--", "--/1/", "# --//", "Content-Type: x/y", "--BB", "--"];

/// A part of up to five such lines, chosen by the digits of a number.
fn any_part(mut number: usize) -> String {
    let mut lines = Vec::new();
    for _ in 0..number % 6 {
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lines.push(LINES[(number >> 33) % LINES.len()]);
    }
    lines.join("\n")
}

#[test]
fn parts_survive_byte_for_byte() {
    for number in 0..20_000 {
        let given = (0..=number % 4).map(|place| any_part(number * 31 + place)).collect::<Vec<_>>();
        let text = archive(&given);
        // A part that ends in a carriage return before our line feed reads as one line break, in every MIME reader.
        let expected = given.iter().map(|part| part.strip_suffix('\r').unwrap_or(part));
        assert_eq!(parts(&text).unwrap(), expected.collect::<Vec<_>>(), "{text:?}");
    }
}
