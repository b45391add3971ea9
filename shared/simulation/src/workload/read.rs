//! Reading traces in CSV.

use super::{Constraints, Request, Workload, embedded, spec};
use model::{Labels, Resources, resources};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// No single line may ask for more pods than this.
const MAX_COUNT: u32 = 100_000;
/// No trace may ask for more pods than this.
const MAX_PODS: u64 = 1_000_000;

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// It is no text.
    #[error("the trace is neither UTF-8 text nor gzip of it: {0}")]
    Encoding(String),
    /// A column that must be there is not.
    #[error(
        "line 1: the column {0:?} is missing; the header must name count, cpu_milli, memory_mib and arrival_s"
    )]
    MissingColumn(&'static str),
    /// There is not one usable line.
    #[error("the trace has no usable line")]
    Empty,
    /// A value cannot be used; its line is left out.
    #[error("line {line}: {column} is {value:?}, which is not {wanted}; the line is left out")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What could stand there.
        wanted: &'static str,
    },
    /// There are too many pods.
    #[error("line {0}: the trace has more than 1000000 pods up to here; the rest is left out")]
    TooMany(usize),
}

struct Columns(BTreeMap<String, usize>);

struct Line<'a> {
    number: usize,
    fields: Vec<&'a str>,
    columns: &'a Columns,
}

impl Columns {
    fn parse(header: &str) -> Result<Self, TraceError> {
        let names =
            header.split(',').enumerate().map(|(index, name)| (name.trim().to_owned(), index));
        let columns = Self(names.collect());
        let required = ["count", "cpu_milli", "memory_mib", "arrival_s"];
        let missing = required.into_iter().find(|name| !columns.0.contains_key(*name));
        missing.map_or(Ok(columns), |name| Err(TraceError::MissingColumn(name)))
    }
}

impl Line<'_> {
    fn text(&self, column: &str) -> &str {
        let index = self.columns.0.get(column);
        index.and_then(|index| self.fields.get(*index)).map_or("", |field| field.trim())
    }

    fn refuse(&self, column: &'static str, wanted: &'static str) -> TraceError {
        TraceError::Value { line: self.number, column, value: self.text(column).to_owned(), wanted }
    }

    /// A number from 0 to 10^12; 0 if nothing stands there.
    fn number(&self, column: &'static str) -> Result<i64, TraceError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(0);
        }
        let value = text.parse::<f64>().ok().filter(|value| (0.0..=1e12).contains(value));
        value
            .map(|value| value as i64)
            .ok_or_else(|| self.refuse(column, "a number from 0 to 10^12"))
    }

    fn extra(&self, key: &str) -> Option<&str> {
        let pairs = self.text("extra").split(';').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).next()
    }

    fn requests(&self) -> Result<Resources, TraceError> {
        let mut requests = Resources::new()
            .with(resources::CPU, self.number("cpu_milli")?)
            .with(resources::MEMORY, self.number("memory_mib")? << 20)
            .with(resources::PODS, 1);
        let gpu = self.number("gpu")?;
        if gpu > 0 {
            requests.set(resources::NVIDIA_GPU, gpu);
        }
        Ok(requests)
    }

    fn constraints(&self) -> Constraints {
        let on = |key| self.extra(key).is_some_and(|value| value != "0");
        Constraints {
            zone_spread: on("zone_spread"),
            host_spread: on("host_spread"),
            anti_affinity_host: on("anti_affinity_host"),
            priority: self.extra("priority").and_then(|value| value.parse().ok()).unwrap_or(0),
        }
    }

    fn name(&self) -> String {
        let name = self.text("name");
        if name.is_empty() { format!("w{}", self.number - 1) } else { name.to_owned() }
    }

    fn request(&self) -> Result<Request, TraceError> {
        let count = self.number("count")?;
        let count = u32::try_from(count).ok().filter(|count| (1..=MAX_COUNT).contains(count));
        let count =
            count.ok_or_else(|| self.refuse("count", "a number of pods from 1 to 100000"))?;
        let duration_s = match self.text("duration_s") {
            "" => None,
            _ => Some(self.number("duration_s")?.max(1)),
        };
        let constraints = self.constraints();
        let related = constraints != Constraints::default() || duration_s.is_none();
        let app = if related { self.name() } else { "job".to_owned() };
        let labels = Labels::from([("app".to_owned(), app)]);
        let spec = spec(self.requests()?, &labels, constraints);
        Ok(Request {
            name: self.name(),
            count,
            arrival_s: self.number("arrival_s")?,
            duration_s,
            scale_in: self.extra("scale_in").and_then(|value| value.parse().ok()),
            changes: Vec::new(),
            labels: Arc::new(labels),
            spec: Arc::new(spec),
        })
    }
}

/// Reads a trace from the text of a CSV file. Lines that cannot be used are left out and returned as errors beside it.
///
/// # Errors
/// The header lacks a column, or no line can be used.
pub fn read(name: &str, text: &str) -> Result<(Workload, Vec<TraceError>), TraceError> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let columns = Columns::parse(lines.next().map_or("", |(_, line)| line))?;
    let (mut requests, mut problems, mut pods) = (Vec::new(), Vec::new(), 0);
    for (index, line) in lines {
        let line = Line { number: index + 1, fields: line.split(',').collect(), columns: &columns };
        match line.request() {
            Ok(request) if pods + u64::from(request.count) > MAX_PODS => {
                problems.push(TraceError::TooMany(line.number));
                break;
            }
            Ok(request) => {
                pods += u64::from(request.count);
                requests.push(request);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if requests.is_empty() {
        return Err(problems.into_iter().next().unwrap_or(TraceError::Empty));
    }
    share_equal(&mut requests);
    unique_names(&mut requests);
    requests.sort_by_key(|request| request.arrival_s);
    Ok((
        Workload {
            name: name.to_owned(),
            source: format!("the file {name}"),
            requests,
            spread_s: 0,
        },
        problems,
    ))
}

impl Workload {
    /// Reads a trace from the bytes of a CSV file, gzip or plain.
    ///
    /// # Errors
    /// As `read`; or the bytes are no text.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<(Self, Vec<TraceError>), TraceError> {
        read(name, &embedded::text(bytes)?)
    }
}

/// Equal specs and labels are kept once, so that thousands of pods share them.
fn share_equal(requests: &mut [Request]) {
    let mut seen: BTreeMap<(Arc<Labels>, Arc<model::PodSpec>), ()> = BTreeMap::new();
    for request in requests {
        let key = (request.labels.clone(), request.spec.clone());
        match seen.get_key_value(&key) {
            Some(((labels, spec), ())) => {
                (request.labels, request.spec) = (labels.clone(), spec.clone())
            }
            None => drop(seen.insert(key, ())),
        }
    }
}

fn unique_names(requests: &mut [Request]) {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for request in requests {
        let count = counts.entry(request.name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            request.name = format!("{}-{count}", request.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = match read("t", text) {
            Ok((workload, problems)) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                format!("{} requests; {}", workload.requests.len(), problems.join("; "))
            }
            Err(error) => error.to_string(),
        };
        assert!(outcome.contains(expected), "{text:?}: {outcome}");
    }

    #[test]
    fn bad_lines_are_left_out_with_their_place_and_the_rest_is_read() {
        let header = "count,cpu_milli,memory_mib,arrival_s,duration_s\n";
        check(&format!("{header}1,100,64,0,60\n2,100,64,300,\n"), "2 requests; ");
        check(
            &format!("{header}0,100,64,0,60\n1,100,64,0,60\n"),
            "1 requests; line 2: count is \"0\"",
        );
        check(
            &format!("{header}1,-5,64,0,60\n1,100,64,0,60\n"),
            "1 requests; line 2: cpu_milli is \"-5\"",
        );
        check(&format!("{header}1,100,x,0,60\n1,100,64,0,60\n"), "memory_mib is \"x\"");
        check(&format!("{header}1,100,64,0,9e99\n1,1,1,0,\n"), "duration_s is \"9e99\"");
        check(header, "no usable line");
        check("", "the column \"count\" is missing");
        check("count,cpu_milli,memory_mib\n", "the column \"arrival_s\" is missing");
    }

    #[test]
    fn constraints_become_kubernetes_terms() {
        let text = "name,count,cpu_milli,memory_mib,arrival_s,extra\nweb,3,100,64,0,zone_spread=1;anti_affinity_host=1;priority=7;scale_in=2\n";
        let (workload, _) = read("t", text).unwrap();
        let web = &workload.requests[0];
        assert_eq!(web.spec.topology_spread[0].topology_key, model::labels::ZONE);
        assert_eq!(web.spec.pod_anti_affinity.len(), 1);
        assert_eq!((web.spec.priority, web.scale_in, web.duration_s), (7, Some(2), None));
    }

    #[test]
    fn equal_specs_are_shared() {
        let text = "count,cpu_milli,memory_mib,arrival_s,duration_s\n1,1,1,0,9\n1,1,1,5,9\n";
        let (workload, _) = read("t", text).unwrap();
        assert!(Arc::ptr_eq(&workload.requests[0].spec, &workload.requests[1].spec));
    }
}
