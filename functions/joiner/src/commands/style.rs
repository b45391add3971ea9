//! Colours, on a terminal only.

use std::io::IsTerminal;

/// Whether and how to emphasise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colours: bool,
    /// How wide a line may be.
    pub(crate) width: usize,
}

impl Style {
    /// Without colours, 100 columns wide.
    pub(crate) const PLAIN: Self = Self { colours: false, width: 100 };

    /// Colours on a terminal, unless `NO_COLOR` is set; `COLUMNS` or else the terminal tells the width.
    pub(crate) fn of_terminal() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let colours = std::io::stdout().is_terminal() && set("NO_COLOR").is_none();
        let columns = set("COLUMNS").and_then(|columns| columns.parse::<usize>().ok());
        let columns =
            columns.or_else(|| terminal_size::terminal_size().map(|(width, _)| width.0.into()));
        let width = columns.unwrap_or(Self::PLAIN.width).clamp(80, 200);
        Self { colours, width }
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.code("1", text)
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.code("2", text)
    }

    pub(crate) fn bad(&self, text: &str) -> String {
        self.code("31", text)
    }

    pub(crate) fn odd(&self, text: &str) -> String {
        self.code("33", text)
    }

    fn code(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
