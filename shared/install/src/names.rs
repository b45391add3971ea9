//! Names that follow from the cluster's, so that two clusters of one account never meet.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The longest name of a cluster: functions are named after it and may have 64 characters (infra/template.yaml).
const LONGEST: usize = 41;

/// A name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the {what} {name:?} cannot be used: {problem}")]
pub struct NameError {
    what: &'static str,
    name: String,
    problem: String,
}

/// What the objects of one installation are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The CloudFormation stack.
    pub stack: String,
    /// The event bus.
    pub bus: String,
    /// The ECR repository of the webhook's image.
    pub repository: String,
    /// The bucket of the functions' code.
    pub bucket: String,
    /// The key of the tag that all these carry, with the value `owned`.
    pub tag: String,
}

impl Names {
    /// Of the cluster of that name.
    pub fn new(cluster: &str, region: &str, account: &str) -> Self {
        let digest = hex(&Sha256::digest(format!("{account}/{region}/{cluster}")));
        let own = hex(&Sha256::digest(cluster));
        // Where another cluster's name could become the same, a part of the hash tells them apart.
        let plain = |allowed: &dyn Fn(char) -> bool| match cluster.chars().all(allowed) {
            true => cluster.to_owned(),
            false => format!("{}-{}", kept(&cluster.to_lowercase()), &own[..8]),
        };
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let stack = plain(&|c| c.is_ascii_alphanumeric() || c == '-');
        let doubled = cluster.contains("--") || cluster.ends_with('-');
        let repository = plain(&|c| lower(c) && !doubled);
        Self {
            stack: format!("joiner-{stack}"),
            bus: format!("joiner-{cluster}"),
            repository: format!("joiner/{repository}/webhook"),
            bucket: format!("joiner-{}-{}", kept(&cluster.to_lowercase()), &digest[..12]),
            tag: format!("joiner.dev/{cluster}"),
        }
    }

    /// Whether a cluster of that name can have an installation.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn check(cluster: &str) -> Result<(), NameError> {
        let wrong = |problem: String| {
            Err(NameError { what: "cluster name", name: cluster.to_owned(), problem })
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        match cluster.chars().next() {
            None => wrong("it is empty; say --cluster NAME".to_owned()),
            Some(first) if !first.is_ascii_alphanumeric() || !cluster.chars().all(valid) => wrong(
                "EKS's names have letters, digits, - and _, and begin with a letter or digit"
                    .to_owned(),
            ),
            Some(_) if cluster.len() > LONGEST => wrong(format!(
                "it has {} characters and may have {LONGEST}, because functions are named after it",
                cluster.len()
            )),
            Some(_) => Ok(()),
        }
    }

    /// Whether a VPC can have that name.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn check_vpc(vpc: &str) -> Result<(), NameError> {
        let wrong = |problem: &str| {
            Err(NameError { what: "VPC name", name: vpc.to_owned(), problem: problem.to_owned() })
        };
        if vpc.trim().is_empty() {
            return wrong("it is empty; say --vpc NAME, or leave it out to take the cluster's own");
        }
        if vpc.len() > 200 || vpc.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return wrong(
                "it must be the value of the VPC's tag Name, at most 200 characters without spaces",
            );
        }
        Ok(())
    }
}

/// The name with what not every service takes made a dash, one at a time.
fn kept(name: &str) -> String {
    let dashes = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let parts = dashes.collect::<String>();
    parts.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// Bytes as lower-case digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(cluster: &str) -> Names {
        Names::new(cluster, "us-east-1", "111122223333")
    }

    #[test]
    fn names_are_those_that_aws_takes() {
        let shop = names("shop");
        assert_eq!((shop.stack.as_str(), shop.bus.as_str()), ("joiner-shop", "joiner-shop"));
        assert_eq!(shop.repository, "joiner/shop/webhook");
        assert!(shop.bucket.starts_with("joiner-shop-"));
        assert!(!format!("{shop:?}").contains("111122223333"));
        let odd = names("My_Shop--1");
        assert!(odd.stack.starts_with("joiner-my-shop-1-"), "{}", odd.stack);
        assert!(odd.repository.starts_with("joiner/my-shop-1-"), "{}", odd.repository);
        assert!(names(&"c".repeat(41)).bucket.len() <= 63);
    }

    #[test]
    fn two_clusters_never_meet() {
        for (one, other) in
            [("a", "b"), ("a_b", "a-b"), ("Shop", "shop"), ("a--b", "a-b"), ("a-", "a")]
        {
            let (one, other) = (names(one), names(other));
            assert_ne!(one.stack, other.stack);
            assert_ne!(one.repository, other.repository);
            assert_ne!(one.bucket, other.bucket);
            assert_ne!(one.tag, other.tag);
        }
        let elsewhere = Names::new("shop", "eu-west-1", "111122223333");
        assert_ne!(names("shop").bucket, elsewhere.bucket);
    }

    #[test]
    fn names_that_cannot_be_used_are_refused() {
        let check = |name: &str, part: &str| {
            let found = Names::check(name).map_err(|error| error.to_string());
            match part {
                "" => assert_eq!(found, Ok(()), "{name}"),
                part => assert!(found.unwrap_err().contains(part), "{name}"),
            }
        };
        check("shop", "");
        check("0_x-Y", "");
        check("", "it is empty; say --cluster NAME");
        check("-a", "begin with a letter or digit");
        check("a b", "letters, digits");
        check("größe", "letters, digits");
        check(&"c".repeat(41), "");
        check(&"c".repeat(42), "it has 42 characters and may have 41");
        assert!(Names::check_vpc("  ").is_err());
        assert!(Names::check_vpc("a b").is_err());
        assert_eq!(Names::check_vpc("qa_vpc"), Ok(()));
    }
}
