//! Account ids, which no message holds.

/// Begins what AWS says only in a form that the account's owner alone can decode.
const ENCODED: &str = "Encoded authorization failure message";
const ACCOUNT_DIGITS: usize = 12;

/// The text of AWS or of an API server (which repeats the ARN of whoever asked) with account ids, words of twelve digits, covered,
/// and without what can only be read decoded.
pub fn redacted(text: &str) -> String {
    let mut rest = text.split(ENCODED).next().unwrap_or_default();
    let mut covered = String::with_capacity(rest.len());
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let is_account = word.len() == ACCOUNT_DIGITS && word.bytes().all(|c| c.is_ascii_digit());
        covered.push_str(before);
        covered.push_str(if is_account { "<account>" } else { word });
        rest = after;
    }
    covered.push_str(rest);
    covered.truncate(covered.trim_end().len());
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_ids_are_covered() {
        let check = |text: &str, expected: &str| assert_eq!(redacted(text), expected);
        check("arn:aws:iam::123456789012:role/x 1", "arn:aws:iam::<account>:role/x 1");
        check("123456789012", "<account>");
        check("bucket turns-123456789012-eu", "bucket turns-<account>-eu");
        check("1234567890123 and 2026", "1234567890123 and 2026");
        check("i-0a123456789012345", "i-0a123456789012345");
        check("é 123456789012é", "é <account>é");
        check("Not allowed. Encoded authorization failure message: Zm9vYmFy", "Not allowed.");
    }
}
