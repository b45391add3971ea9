//! Text in lines and columns.

use super::style::Style;

pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn title(text: &str, style: &Style) -> String {
    style.bold(text) + "\n"
}

pub(super) fn more(number: usize, most: usize, what: &str, style: &Style) -> String {
    let left = number.saturating_sub(most);
    let text = format!("  ... and {left} more {what} (--all prints them)\n");
    if left > 0 { style.dim(&text) } else { String::new() }
}

/// As many names as fit, and how many more there are; at least the beginning of one.
pub(super) fn shorten(names: &[String], room: usize) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let left = names.len() - index - 1;
        let rest = if left > 0 { format!(", +{left}") } else { String::new() };
        let separator = if index > 0 { ", " } else { "" };
        let length = text.chars().count() + separator.len() + name.chars().count() + rest.len();
        if index > 0 && length > room {
            return format!("{text}, +{}", left + 1);
        }
        text += separator;
        text += &clip(name, room.saturating_sub(rest.len()).max(12));
    }
    text
}

/// A text over as many lines as it needs, the first behind `head`, the others behind `rest`.
pub(super) fn wrap(text: &str, width: usize, head: &str, rest: &str) -> String {
    let mut lines = head.to_owned();
    let mut column = head.len();
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > width {
            lines += "\n";
            lines += rest;
            column = rest.len();
        } else if index > 0 {
            lines += " ";
            column += 1;
        }
        lines += word;
        column += length;
    }
    lines + "\n"
}

pub(super) fn clip(name: &str, room: usize) -> String {
    if name.chars().count() <= room {
        return name.to_owned();
    }
    name.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

pub(super) fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    })
}

/// Columns side by side, those of `right` flush right; the first row is the heading.
pub(super) fn align<const N: usize>(
    rows: &[[String; N]],
    right: &[usize],
    style: &Style,
) -> String {
    let widths = widths(rows);
    let cell = |(column, text): (usize, &String)| {
        let pad = " ".repeat(widths[column] - text.chars().count());
        if right.contains(&column) { format!("{pad}{text}") } else { format!("{text}{pad}") }
    };
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
        format!("  {}", cells.trim_end())
    };
    let lines = rows
        .iter()
        .enumerate()
        .map(|(index, row)| if index == 0 { style.dim(&line(row)) } else { line(row) });
    lines.map(|line| line + "\n").collect()
}
