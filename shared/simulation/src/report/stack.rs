//! Stacked layers over time.

use super::chart::{Caption, Frame, figure};
use super::series::Series;
use std::fmt::Write;

/// A chart of layers, the first at the bottom; `most` is the top of the axis, so that several charts compare.
pub(super) fn layers(
    caption: &Caption<'_>,
    times: &[i64],
    length_s: i64,
    series: &[Series],
    most: f64,
) -> String {
    let frame = Frame::new(230.0, length_s, most);
    let mut below = vec![0.0; times.len()];
    let mut inside = String::new();
    for layer in series {
        let above: Vec<f64> =
            below.iter().zip(&layer.values).map(|(below, value)| below + value).collect();
        let upper = frame.path(times, &above);
        let lower = reversed(&frame, times, &below);
        let _ = write!(inside, "<path class=\"layer {}\" d=\"{upper}{lower}Z\"/>", layer.class);
        below = above;
    }
    figure(caption, &frame, times, series, &inside)
}

/// The lower edge, from the end back to the start, in the same steps.
fn reversed(frame: &Frame, times: &[i64], values: &[f64]) -> String {
    let mut path = String::new();
    let points: Vec<(f64, f64)> =
        times.iter().zip(values).map(|(at_s, v)| (frame.x(*at_s), frame.y(*v))).collect();
    for (index, (x, y)) in points.iter().enumerate().rev() {
        let _ = if index + 1 == points.len() {
            write!(path, "L{x:.1} {y:.1}")
        } else {
            write!(path, "V{y:.1}H{x:.1}")
        };
    }
    path
}

/// The highest total of the layers.
pub(super) fn highest(series: &[Series], samples: usize) -> f64 {
    let total =
        |index: usize| series.iter().filter_map(|layer| layer.values.get(index)).sum::<f64>();
    (0..samples).map(total).fold(0.0, f64::max)
}
