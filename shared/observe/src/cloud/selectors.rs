//! From the selector terms of all classes to a few questions, and back to what each term selects.
//!
//! Terms that begin with the same tag key share one question, so that twenty classes cost a call or two. What comes back is
//! matched against each term here, by the rules of EC2's filters: `*` is any text, `?` any one character.

use aws_sdk_ec2::types::Filter;
use model::Labels;
use model::node_class::SelectorTerm;
use model::pool::ApiVersion;
use std::collections::{BTreeMap, BTreeSet};

/// EC2 takes at most this many values for one filter.
const MOST_VALUES: usize = 200;

/// A question: filters by name, each with the values that it lets pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) filters: BTreeMap<String, BTreeSet<String>>,
}

impl Question {
    pub(crate) fn new<const N: usize>(filters: [(&str, BTreeSet<String>); N]) -> Self {
        let filters = filters.into_iter().map(|(name, values)| (name.to_owned(), values));
        Self { filters: filters.collect() }
    }

    /// The question as text, by which its answer is kept.
    pub(crate) fn key(&self) -> String {
        let filter = |(name, values): (&String, &BTreeSet<String>)| {
            format!("{name}={}", values.iter().map(String::as_str).collect::<Vec<_>>().join(","))
        };
        self.filters.iter().map(filter).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn to_filters(&self) -> Vec<Filter> {
        let filter = |(name, values): (&String, &BTreeSet<String>)| {
            let values = values.iter().take(MOST_VALUES).cloned().collect();
            Filter::builder().name(name).set_values(Some(values)).build()
        };
        self.filters.iter().map(filter).collect()
    }
}

/// What of a thing a term can select it by.
pub(crate) trait Selectable {
    fn id(&self) -> &str;
    fn name(&self) -> &str;
    fn tags(&self) -> &Labels;
}

/// A term of a class, whose legacy API separates alternative values by commas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term<'a> {
    pub(crate) term: &'a SelectorTerm,
    pub(crate) legacy: bool,
}

impl<'a> Term<'a> {
    pub(crate) fn of(term: &'a SelectorTerm, version: Option<ApiVersion>) -> Self {
        Self { term, legacy: version == Some(ApiVersion::Legacy) }
    }

    /// Whether the term selects it.
    pub(crate) fn selects(&self, found: &impl Selectable) -> bool {
        let Self { term, legacy } = *self;
        if let Some(id) = &term.id {
            return id == found.id();
        }
        term.name.as_ref().is_none_or(|name| matches(name, found.name()))
            && tags_match(&term.tags, found.tags(), legacy)
            && (term.name.is_some() || !term.tags.is_empty())
    }

    /// What the term says, for messages: `the tag karpenter.sh/discovery=demo`.
    pub(crate) fn text(&self) -> String {
        let term = self.term;
        match (&term.id, &term.name) {
            (Some(id), _) => format!("the id {id}"),
            (None, Some(name)) => format!("the name {name}"),
            (None, None) => tags_text(&term.tags),
        }
    }

    /// The filter by which its question is asked, and the values that it adds to it.
    fn filter(&self, names: FilterNames) -> Option<(String, Vec<String>)> {
        let Self { term, legacy } = *self;
        if let Some(id) = &term.id {
            return Some((names.id.to_owned(), vec![id.clone()]));
        }
        if let Some(name) = &term.name {
            return Some((names.name.to_owned(), vec![name.clone()]));
        }
        let (key, value) = term.tags.first_key_value()?;
        Some((format!("tag:{key}"), alternatives(value, legacy)))
    }
}

/// Tags, for messages.
pub(crate) fn tags_text(tags: &Labels) -> String {
    let tag = |(key, value): (&String, &String)| match value.as_str() {
        "*" => key.clone(),
        value => format!("{key}={value}"),
    };
    let list = tags.iter().map(tag).collect::<Vec<_>>().join(" and ");
    format!("the tag{} {list}", if tags.len() > 1 { "s" } else { "" })
}

/// How a kind of thing calls its own filters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterNames {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
}

/// The questions that answer all terms, in one VPC, by their keys.
pub(crate) fn questions<'a>(
    terms: impl Iterator<Item = Term<'a>>,
    names: FilterNames,
    vpc_id: &str,
) -> BTreeMap<String, Question> {
    let mut filters = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, values) in terms.filter_map(|term| term.filter(names)) {
        filters.entry(name).or_default().extend(values);
    }
    let question = |(name, values): (String, BTreeSet<String>)| {
        let (name, values) = match name.strip_prefix("tag:") {
            Some(key) if values.contains("*") => {
                ("tag-key".to_owned(), BTreeSet::from([key.to_owned()]))
            }
            _ => (name, values),
        };
        let vpc = ("vpc-id".to_owned(), BTreeSet::from([vpc_id.to_owned()]));
        let question = Question { filters: BTreeMap::from([(name, values), vpc]) };
        (question.key(), question)
    };
    filters.into_iter().map(question).collect()
}

/// Whether the question is one that the term needs answered.
pub(crate) fn asks_for(question: &str, term: Term<'_>, names: FilterNames) -> bool {
    let Some((name, _)) = term.filter(names) else { return false };
    let by_key = name.strip_prefix("tag:").map(|key| format!("tag-key={key} "));
    question.starts_with(&format!("{name}="))
        || by_key.is_some_and(|by_key| question.starts_with(&by_key))
}

fn alternatives(value: &str, legacy: bool) -> Vec<String> {
    if !legacy {
        return vec![value.to_owned()];
    }
    value.split(',').map(|value| value.trim().to_owned()).collect()
}

/// Whether a thing has all these tags.
pub(crate) fn tags_match(wanted: &Labels, tags: &Labels, legacy: bool) -> bool {
    wanted.iter().all(|(key, value)| {
        let alternatives = alternatives(value, legacy);
        tags.get(key).is_some_and(|tag| alternatives.iter().any(|pattern| matches(pattern, tag)))
    })
}

/// Whether the text fits the pattern, in which `*` is any text, `?` any one character, and a backslash takes the next one as it is.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let tokens = tokens(pattern);
    let text = text.chars().collect::<Vec<_>>();
    let (mut at, mut token) = (0, 0);
    // Where the last star stood, and how much of the text it has taken so far.
    let mut star = None;
    while at < text.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                star = Some((token, at));
                token += 1;
            }
            Some(Token::One) => (at, token) = (at + 1, token + 1),
            Some(Token::Only(wanted)) if *wanted == text[at] => (at, token) = (at + 1, token + 1),
            Some(Token::Only(_)) | None => {
                let Some((of_star, taken)) = star else { return false };
                star = Some((of_star, taken + 1));
                (at, token) = (taken + 1, of_star + 1);
            }
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Any)
}

#[derive(PartialEq)]
enum Token {
    Any,
    One,
    Only(char),
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(character) = chars.next() {
        tokens.push(match character {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Only(chars.next().unwrap_or('\\')),
            character => Token::Only(character),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: FilterNames = FilterNames { id: "group-id", name: "group-name" };

    fn tagged(entries: &[(&str, &str)]) -> SelectorTerm {
        let tags = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        SelectorTerm { tags: tags.collect(), ..SelectorTerm::default() }
    }

    #[test]
    fn patterns_are_those_of_ec2() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        };
        check("demo", "demo", true);
        check("demo", "demos", false);
        check("*", "", true);
        check("demo-*", "demo-a", true);
        check("*-a", "demo-a", true);
        check("d*o-?", "demo-a", true);
        check("d*o-?", "demo-ab", false);
        check("*a*b*c", "xaxbxbxc", true);
        check("*a*b*c", "xaxcxbx", false);
        check(&"a*".repeat(50), &"a".repeat(255), true);
        check(&format!("{}b", "a*".repeat(50)), &"a".repeat(255), false);
        check("?", "é", true);
        check(r"\*", "*", true);
        check(r"\*", "x", false);
        check("", "x", false);
    }

    #[test]
    fn classes_share_questions() {
        let check = |terms: &[SelectorTerm], legacy: bool, expected: &[&str]| {
            let terms = terms.iter().map(|term| Term { term, legacy });
            let found = questions(terms, NAMES, "vpc-1");
            assert_eq!(found.keys().collect::<Vec<_>>(), expected);
        };
        let discovery = |value: &str| tagged(&[("discovery", value)]);
        check(&[discovery("a"), discovery("b")], false, &["tag:discovery=a,b vpc-id=vpc-1"]);
        check(&[discovery("a, b")], true, &["tag:discovery=a,b vpc-id=vpc-1"]);
        check(&[discovery("a,b"), discovery("*")], false, &["tag-key=discovery vpc-id=vpc-1"]);
        let id = |id: &str| SelectorTerm { id: Some(id.to_owned()), ..SelectorTerm::default() };
        check(
            &[id("sg-2"), id("sg-1"), tagged(&[("b", "1"), ("a", "2")])],
            false,
            &["group-id=sg-1,sg-2 vpc-id=vpc-1", "tag:a=2 vpc-id=vpc-1"],
        );
        check(&[SelectorTerm::default()], false, &[]);
    }

    #[test]
    fn a_term_knows_its_question() {
        let check = |term: &SelectorTerm, question: &str, expected: bool| {
            assert_eq!(asks_for(question, Term { term, legacy: false }, NAMES), expected);
        };
        let term = tagged(&[("a", "1")]);
        check(&term, "tag:a=1,2 vpc-id=vpc-1", true);
        check(&term, "tag-key=a vpc-id=vpc-1", true);
        check(&term, "tag-key=ab vpc-id=vpc-1", false);
        check(&term, "tag:ab=1 vpc-id=vpc-1", false);
    }

    #[test]
    fn terms_read_well_in_messages() {
        let check = |term: &SelectorTerm, expected: &str| {
            assert_eq!(Term { term, legacy: false }.text(), expected);
        };
        check(&tagged(&[("a", "1")]), "the tag a=1");
        check(&tagged(&[("a", "*"), ("b", "2")]), "the tags a and b=2");
        let named = SelectorTerm { name: Some("nodes".to_owned()), ..SelectorTerm::default() };
        check(&named, "the name nodes");
    }
}
