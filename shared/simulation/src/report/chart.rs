//! Charts over time as SVG: the frame with its axes, and lines in it.

use super::escape;
use super::number::{tick_label, ticks};
use super::series::Series;
use std::fmt::Write;

pub(super) const WIDTH: f64 = 960.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// Where values and times are in the picture.
pub(super) struct Frame {
    height: f64,
    length_s: f64,
    steps: Vec<f64>,
}

/// What a chart is called, and what its values are.
pub(super) struct Caption<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) note: &'a str,
    pub(super) decimals: usize,
}

impl Frame {
    pub(super) fn new(height: f64, length_s: i64, most: f64) -> Self {
        Self {
            height,
            length_s: length_s.max(1) as f64,
            steps: ticks(if most > 0.0 { most } else { 1.0 }, 4),
        }
    }

    fn top_value(&self) -> f64 {
        self.steps.last().copied().unwrap_or(1.0)
    }

    pub(super) fn x(&self, at_s: i64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * at_s as f64 / self.length_s
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - (bottom - TOP) * value / self.top_value()
    }

    fn grid(&self) -> String {
        let mut svg = String::new();
        let step = self.steps.get(1).copied().unwrap_or(1.0);
        for value in &self.steps {
            let (y, label) = (self.y(*value), tick_label(*value, step));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 7.0,
                y + 4.0
            );
        }
        let hours = self.length_s / 3600.0;
        let hour_steps: Vec<f64> = if hours >= 6.0 { hour_ticks(hours) } else { ticks(hours, 6) };
        let step = hour_steps.get(1).copied().unwrap_or(1.0);
        for hour in hour_steps.into_iter().filter(|hour| *hour <= hours + 1e-9) {
            let x = self.x((hour * 3600.0) as i64);
            let (y1, y2) = (self.height - BOTTOM, self.height - BOTTOM + 5.0);
            let _ = write!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y1}\" y2=\"{y2}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{} h</text>",
                y2 + 14.0,
                tick_label(hour, step)
            );
        }
        svg
    }

    /// A line in steps: each value holds until the next.
    pub(super) fn path(&self, times: &[i64], values: &[f64]) -> String {
        let mut path = String::new();
        for (index, (at_s, value)) in times.iter().zip(values).enumerate() {
            let (x, y) = (self.x(*at_s), self.y(*value));
            let _ = if index == 0 {
                write!(path, "M{x:.1} {y:.1}")
            } else {
                write!(path, "H{x:.1}V{y:.1}")
            };
        }
        path
    }
}

fn hour_ticks(hours: f64) -> Vec<f64> {
    let step = [1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0]
        .into_iter()
        .find(|step| hours / step <= 12.0)
        .unwrap_or(96.0);
    (0..=(hours / step) as usize).map(|index| index as f64 * step).collect()
}

/// A chart of lines.
pub(super) fn lines(
    caption: &Caption<'_>,
    times: &[i64],
    length_s: i64,
    series: &[Series],
) -> String {
    let most = series.iter().flat_map(|series| &series.values).copied().fold(0.0, f64::max);
    let frame = Frame::new(300.0, length_s, most);
    let mut inside = String::new();
    for series in series.iter().rev() {
        let path = frame.path(times, &series.values);
        if series.class == "bound" {
            let (end, floor) = (frame.x(times.last().copied().unwrap_or(0)), frame.y(0.0));
            let _ = write!(
                inside,
                "<path class=\"area bound\" d=\"{path}L{end:.1} {floor:.1}L{LEFT} {floor:.1}Z\"/>"
            );
        }
        let _ = write!(inside, "<path class=\"line {}\" d=\"{path}\"/>", series.class);
    }
    figure(caption, &frame, times, series, &inside)
}

/// A figure: title, legend, picture, and the data that the script shows under the pointer.
pub(super) fn figure(
    caption: &Caption<'_>,
    frame: &Frame,
    times: &[i64],
    series: &[Series],
    inside: &str,
) -> String {
    let legend: String = series
        .iter()
        .map(|series| {
            format!("<li><i class=\"key {}\"></i>{}</li>", series.class, escape(&series.name))
        })
        .collect();
    let (title, unit, note) = (escape(caption.title), escape(caption.unit), escape(caption.note));
    let height = frame.height;
    format!(
        "<figure><figcaption><h3>{title} <small>{unit}</small></h3><p>{note}</p><ul class=\"legend\">{legend}</ul></figcaption>\
         <div class=\"plot\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" tabindex=\"0\" aria-label=\"{title}, {unit}\" \
         data-left=\"{LEFT}\" data-right=\"{}\" data-bottom=\"{}\">{}{inside}<line class=\"cross\" y1=\"{TOP}\" y2=\"{}\"/></svg>\
         <div class=\"tip\" hidden></div></div><script type=\"application/json\">{}</script></figure>\n",
        WIDTH - RIGHT,
        height - BOTTOM,
        frame.grid(),
        height - BOTTOM,
        data(caption, times, series)
    )
}

fn data(caption: &Caption<'_>, times: &[i64], series: &[Series]) -> String {
    let value = |value: &f64| format!("{value:.*}", caption.decimals);
    let of_series = |series: &Series| {
        let values: Vec<String> = series.values.iter().map(value).collect();
        format!(
            "{{\"name\":{},\"class\":{},\"values\":[{}]}}",
            json(&series.name),
            json(&series.class),
            values.join(",")
        )
    };
    let all: Vec<String> = series.iter().map(of_series).collect();
    let times: Vec<String> = times.iter().map(ToString::to_string).collect();
    let money = caption.unit.contains('$');
    format!("{{\"times\":[{}],\"money\":{money},\"series\":[{}]}}", times.join(","), all.join(","))
}

/// Text as JSON that may stand inside a script element.
fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()).replace('<', "\\u003c")
}
