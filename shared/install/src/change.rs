//! What a step finds, and what it would make of it.

use std::fmt;

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// It is as it should be.
    Keep,
    /// It is not there yet.
    Create,
    /// It is there, and not as it should be.
    Update,
    /// It is there and should not be.
    Remove,
    /// It is not ours to change, or somebody has changed it: the step ends unless it is told to go on.
    Conflict,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Conflict => "conflict",
        })
    }
}

/// One object, and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub verb: Verb,
    /// The object, as people call it: `subnet subnet-0123 (us-east-1a)`.
    pub object: String,
    /// What differs and what it becomes; of a conflict also what to do. May be empty.
    pub detail: String,
}

impl Change {
    /// This is done with the object.
    pub fn new(verb: Verb, object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { verb, object: object.into(), detail: detail.into() }
    }

    /// The object stays.
    pub fn keep(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verb::Keep, object, detail)
    }

    /// The object is made.
    pub fn create(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verb::Create, object, detail)
    }

    /// The object is changed.
    pub fn update(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verb::Update, object, detail)
    }

    /// The object is taken away.
    pub fn remove(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verb::Remove, object, detail)
    }

    /// The object stands in the way.
    pub fn conflict(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verb::Conflict, object, detail)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8}  {}", self.verb, self.object)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}
