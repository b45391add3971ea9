//! `joiner validate`.

use super::input::Input;
use super::layout::{count, wrap};
use super::style::Style;
use observe::{DumpFinding, DumpOptions, Place, Severity, read_dump};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check pools, node classes and everything else in a cluster or in files.
///
/// Reads the cluster of the current kubeconfig context, or with -f files. Prints every finding with its file, document, field and rule. Exit code 0: none; 1: some; 2: a file, or a part of one,
/// cannot be read.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    /// Text for people
    Table,
    /// JSON: `{"version":1,"findings":[{"severity","place":{"file","document","item","line"},"object","path","rule","message"}]}`
    Json,
}

/// What the files gave.
struct Validation {
    findings: Vec<DumpFinding>,
    /// How many objects they have, of any kind.
    objects: usize,
    /// Files that cannot be opened, and why.
    unopened: Vec<String>,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let validation = match arguments.input.is_cluster() {
        true => validate_cluster(&arguments.input)?,
        false => validate(&arguments.input.files)?,
    };
    for message in &validation.unopened {
        eprintln!("joiner: {message}");
    }
    let text = match arguments.output {
        Output::Table => table(&validation, Style::of_terminal().width),
        Output::Json => {
            let report = json!({ "version": 1, "findings": validation.findings });
            format!("{}\n", serde_json::to_string_pretty(&report)?)
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(exit_code(&validation)))
}

fn validate(files: &[PathBuf]) -> anyhow::Result<Validation> {
    let mut unopened = Vec::new();
    let mut opened = Vec::new();
    for file in files {
        match openable(file) {
            Ok(()) => opened.push(file.clone()),
            Err(error) => unopened.push(format!("{} cannot be opened: {error}", file.display())),
        }
    }
    let catalog = super::catalog::read(None)?;
    let dump = read_dump(&opened, &catalog, &DumpOptions::default())?;
    let findings = dump.findings.into_iter().filter(concerns_objects).collect();
    Ok(Validation { findings, objects: dump.objects, unopened })
}

fn validate_cluster(input: &Input) -> anyhow::Result<Validation> {
    let catalog = super::catalog::read(None)?;
    let dump = input.read(&catalog, &DumpOptions::default(), true)?;
    let concerns = |finding: &DumpFinding| {
        let said_of_an_object = !finding.object.is_empty() || finding.rule == "cluster-read";
        said_of_an_object && finding.severity != Severity::Note
    };
    let findings = dump.findings.into_iter().filter(concerns).collect();
    Ok(Validation { findings, objects: dump.objects, unopened: Vec::new() })
}

/// One file that is not there must not hide what is wrong with the others.
fn openable(file: &Path) -> std::io::Result<()> {
    if file == Path::new("-") {
        return Ok(());
    }
    if std::fs::metadata(file)?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    std::fs::File::open(file).map(drop)
}

/// What only a plan would assume or miss is not wrong with the objects.
fn concerns_objects(finding: &DumpFinding) -> bool {
    let said_of_an_object = finding.place.is_some() || finding.rule == "object-repeated";
    said_of_an_object && finding.severity != Severity::Note
}

fn exit_code(validation: &Validation) -> u8 {
    let unreadable = validation.findings.iter().any(|finding| finding.rule == "syntax");
    match (unreadable || !validation.unopened.is_empty(), validation.findings.is_empty()) {
        (true, _) => 2,
        (false, false) => 1,
        (false, true) => 0,
    }
}

/// Two lines for each finding: where and by which rule, then the cause.
fn table(validation: &Validation, width: usize) -> String {
    let findings = &validation.findings;
    let mut text = String::new();
    for finding in findings {
        let whole = if finding.object.is_empty() { "everything" } else { "cluster" };
        let place = finding.place.as_ref().map_or_else(|| whole.to_owned(), at);
        let mut parts = vec![place, finding.severity.to_string()];
        let named = [&finding.object, &finding.path, &finding.rule];
        // What is said of a whole document names it as its place already.
        let told = |part: &&String| part.is_empty() || parts[0].ends_with(part.as_str());
        let named = named.into_iter().filter(|part| !told(part)).cloned().collect::<Vec<_>>();
        parts.extend(named);
        // The place stays on one line, for those who search in the output.
        text += &(parts.join("  ") + "\n");
        text += &wrap(&finding.message, width, "    ", "      ");
    }
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let errors = count(of(Severity::Error), "error");
    let warnings = count(of(Severity::Warning), "warning");
    text + &format!("{errors}, {warnings} in {}\n", count(validation.objects, "object"))
}

/// `pools.yaml:12 document 2`, with `item 3` for an item of a list.
fn at(place: &Place) -> String {
    let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
    let item = place.item.map(|item| format!(" item {item}")).unwrap_or_default();
    format!("{}{line} document {}{item}", place.file, place.document)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r"
apiVersion: karpenter.k8s.aws/v1alpha1
kind: AWSNodeTemplate
metadata: {name: default}
spec:
  subnetSelector: {karpenter.sh/discovery: vpc}
  securityGroupSelector: {karpenter.sh/discovery: vpc}
";
    const PROVISIONER: &str = r"
apiVersion: karpenter.sh/v1alpha5
kind: Provisioner
metadata: {name: default}
spec:
  providerRef: {name: default}
";

    /// Validates one file of these documents; returns the exit code and what is printed, without the directory.
    fn check(test: &str, documents: &[&str], code: u8, printed: &str) {
        let file =
            std::env::temp_dir().join(format!("joiner-validate-{test}-{}", std::process::id()));
        std::fs::write(&file, documents.join("\n---\n")).unwrap();
        let validation = validate(std::slice::from_ref(&file)).unwrap();
        std::fs::remove_file(&file).unwrap();
        let text = table(&validation, usize::MAX).replace(&file.display().to_string(), "FILE");
        assert_eq!(text, printed);
        assert_eq!(exit_code(&validation), code, "{text}");
    }

    #[test]
    fn sound_objects_have_no_findings() {
        check("sound", &[TEMPLATE, PROVISIONER], 0, "0 errors, 0 warnings in 2 objects\n");
    }

    #[test]
    fn a_finding_names_file_line_document_object_field_and_rule() {
        let pool = format!("{PROVISIONER}  weight: 101\n  ttlSecondsAfterempty: 30\n");
        let printed = "\
FILE:11 document 2  warning  Provisioner default  spec.ttlSecondsAfterempty  unknown-field
    no such field; it is left out (did you mean ttlSecondsAfterEmpty?)
FILE:11 document 2  error  Provisioner default  spec.weight  range
    101 is not between 1 and 100
1 error, 1 warning in 2 objects
";
        check("place", &[TEMPLATE, &pool], 1, printed);
    }

    #[test]
    fn a_repeated_key_is_a_warning_and_its_last_value_counts() {
        let pool =
            format!("{PROVISIONER}  ttlSecondsAfterEmpty: 300\n  ttlSecondsAfterEmpty: 30\n");
        let file = std::env::temp_dir().join(format!("joiner-validate-key-{}", std::process::id()));
        std::fs::write(&file, format!("{TEMPLATE}\n---\n{pool}")).unwrap();
        let validation = validate(std::slice::from_ref(&file)).unwrap();
        std::fs::remove_file(&file).unwrap();
        let found: Vec<_> = validation
            .findings
            .iter()
            .map(|finding| (finding.path.as_str(), finding.rule.as_str()))
            .collect();
        assert_eq!(found, [("spec.ttlSecondsAfterEmpty", "key-repeated")]);
        assert_eq!(exit_code(&validation), 1);
    }

    #[test]
    fn a_pool_without_its_class_is_found() {
        let printed = "\
FILE:2 document 1  error  NodePool default  spec.providerRef.name  node-class-missing
    there is no AWSNodeTemplate named default; add it to the input or correct the name
1 error, 0 warnings in 1 object
";
        check("class", &[PROVISIONER], 1, printed);
    }

    #[test]
    fn what_cannot_be_read_gives_2_and_does_not_hide_the_rest() {
        let missing = PathBuf::from("no-such-file.yaml");
        let file =
            std::env::temp_dir().join(format!("joiner-validate-half-{}", std::process::id()));
        std::fs::write(&file, format!("{PROVISIONER}\n---\nkind: [half")).unwrap();
        let validation = validate(&[missing, file.clone(), std::env::temp_dir()]).unwrap();
        std::fs::remove_file(&file).unwrap();
        let rules: Vec<_> =
            validation.findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(rules, ["syntax", "node-class-missing"]);
        assert_eq!(validation.unopened.len(), 2);
        assert_eq!(exit_code(&validation), 2);
        let opened = Validation { unopened: Vec::new(), ..validation };
        assert_eq!(exit_code(&opened), 2, "a syntax error alone is enough");
    }
}
