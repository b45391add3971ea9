//! The path to a field, kept on the stack while a document is read and written out only where something is odd.

/// A step from the document's root to a field.
#[derive(Clone, Copy)]
pub(crate) struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> FieldPath<'a> {
    /// The root of an object.
    pub(crate) const ROOT: FieldPath<'static> = FieldPath { parent: None, step: Step::Root };

    /// The field `key` of this one.
    pub(crate) fn key(&'a self, key: &'a str) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Key(key) }
    }

    /// The element `index` (from 0) of this one.
    pub(crate) fn index(&'a self, index: usize) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Index(index) }
    }

    /// `spec.requirements[2].values`.
    pub(crate) fn render(&self) -> String {
        let mut text = self.parent.map(FieldPath::render).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
        text
    }
}
