//! Why a launch template cannot be made.

use model::NodeClassSpec;

/// What a node class asks for and cannot be given: only the launches of this class fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node class {class}: {field}: {message}")]
pub struct TemplateError {
    /// The class.
    pub class: String,
    /// The field of the class: `userData`.
    pub field: &'static str,
    /// The cause and what to do.
    pub message: String,
}

impl TemplateError {
    pub(super) fn new(class: &NodeClassSpec, field: &'static str, message: &str) -> Self {
        Self { class: class.name.clone(), field, message: message.to_owned() }
    }
}
