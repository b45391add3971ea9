//! The table that a run ends with.

use simulation::summary::{Strategy, Summary};

const HEADERS: [&str; 12] = [
    "",
    "pods",
    "waiting",
    "nodes avg",
    "peak",
    "$/h avg",
    "peak $/h",
    "run $",
    "over bound",
    "pending p50 / p99",
    "moved",
    "$ a month/move",
];

/// The table and what must be said below it.
pub(super) fn render(summary: &Summary) -> String {
    let mut rows: Vec<Vec<String>> =
        vec![HEADERS.iter().map(|header| (*header).to_owned()).collect()];
    rows.extend(summary.strategies.iter().map(row));
    rows.push(bound_row(summary));
    let mut text = String::from("\n");
    text.push_str(&align(&rows));
    text.push_str(&notes(summary));
    text
}

fn row(strategy: &Strategy) -> Vec<String> {
    vec![
        strategy.name.clone(),
        strategy.pods.to_string(),
        strategy.never_bound.to_string(),
        format!("{:.1}", strategy.nodes_average_hundredths as f64 / 100.0),
        strategy.nodes_peak.to_string(),
        format!("{:.2}", strategy.average.usd()),
        format!("{:.2}", strategy.peak.usd()),
        dollars(strategy.total_micro_usd),
        strategy
            .gap_basis_points
            .map_or("-".to_owned(), |gap| format!("{:.1}%", gap as f64 / 100.0)),
        format!("{} / {}", seconds(strategy.pending_p50_ms), seconds(strategy.pending_p99_ms)),
        strategy.pods_moved.to_string(),
        strategy.month_saved_per_move_micro_usd.map_or("-".to_owned(), dollars),
    ]
}

fn bound_row(summary: &Summary) -> Vec<String> {
    let bound = &summary.bound;
    let mut cells = vec![String::new(); HEADERS.len()];
    cells[0] = "lower bound".to_owned();
    cells[5] = format!("{:.2}", bound.average.usd());
    cells[6] = format!("{:.2}", bound.peak.usd());
    cells[7] = dollars(bound.total_micro_usd);
    cells
}

fn notes(summary: &Summary) -> String {
    let mut notes = format!(
        "\nlower bound: the live pods packed anew at every moment, without waiting and without moving costs.\n\
         node group: {} at ${:.4}/h, the cheapest general type that holds the largest pod twice.\n\
         moved: pods evicted so that their nodes could go; what that saves a month, for each of them.\n",
        summary.node_group_type,
        summary.node_group_price.usd()
    );
    if summary.prices_estimated {
        notes.push_str("Prices are estimated: the catalog has none of this region.\n");
    }
    for strategy in summary.strategies.iter().filter(|strategy| strategy.violations > 0) {
        notes.push_str(&format!(
            "{}: {} rule violations in its plans\n",
            strategy.name, strategy.violations
        ));
        for text in strategy.violation_texts.iter().take(3) {
            notes.push_str(&format!("  {text}\n"));
        }
    }
    notes
}

fn dollars(micro_usd: u64) -> String {
    format!("{:.2}", micro_usd as f64 / 1e6)
}

fn seconds(milliseconds: i64) -> String {
    format!("{:.1} s", milliseconds as f64 / 1000.0)
}

fn align(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADERS.len()).map(width).collect();
    let cell = |(column, text): (usize, &String)| {
        if column == 0 {
            format!("{text:<width$}", width = widths[0])
        } else {
            format!("{text:>width$}", width = widths[column])
        }
    };
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
