//! Where each family's own images are named: public parameters by Kubernetes version, architecture and variant.
//! Source: karpenter-provider-aws, `pkg/providers/amifamily/` (v1 for aliases, v0.31 for Ubuntu).

use super::of_arch;
use model::pool::ImageFamily;
use model::{Requirements, ValueSet, labels};

/// One image of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// The parameter that holds its id.
    pub(crate) parameter: String,
    arch: &'static str,
    kinds: &'static [Kind],
}

/// What of a type an image drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Types without GPUs and accelerators.
    Plain,
    /// Types with GPUs.
    Gpu,
    /// Types with accelerators (Inferentia, Trainium).
    Accelerator,
    /// All types.
    Any,
    /// All types, running Windows.
    Windows,
}

impl Variant {
    /// What a type must be for this image: one set for each kind that it drives.
    pub(crate) fn requirements(&self) -> Vec<Requirements> {
        self.kinds.iter().map(|kind| kind.requirements(self.arch)).collect()
    }
}

impl Kind {
    fn requirements(self, arch: &str) -> Requirements {
        let label = |name: &str| format!("{}instance-{name}-count", labels::INSTANCE_LABEL_PREFIX);
        let absent = ValueSet { allows_absent: true, ..ValueSet::none() };
        let mut requirements = of_arch(arch);
        match self {
            Self::Plain => {
                requirements.add(&label("gpu"), absent.clone());
                requirements.add(&label("accelerator"), absent);
            }
            Self::Gpu => requirements.add(&label("gpu"), ValueSet::any()),
            Self::Accelerator => requirements.add(&label("accelerator"), ValueSet::any()),
            Self::Any => {}
            Self::Windows => requirements.add(labels::OS, ValueSet::only("windows")),
        }
        requirements
    }
}

/// The family and version that an alias names: `al2023@v20250915`.
pub(crate) fn family_of_alias(alias: &str) -> Option<(ImageFamily, String)> {
    let (name, version) = alias.split_once('@')?;
    let family = match name {
        "al2" => ImageFamily::Al2,
        "al2023" => ImageFamily::Al2023,
        "bottlerocket" => ImageFamily::Bottlerocket,
        "windows2019" => ImageFamily::Windows2019,
        "windows2022" => ImageFamily::Windows2022,
        "windows2025" => ImageFamily::Windows2025,
        _ => return None,
    };
    Some((family, version.to_owned()))
}

/// The family's images of that version (`latest`, or one of its own), for that version of Kubernetes. Custom has none.
pub(crate) fn variants(family: ImageFamily, version: &str, kubernetes: &str) -> Vec<Variant> {
    match family {
        ImageFamily::Al2 => al2(version, kubernetes),
        ImageFamily::Al2023 => al2023(version, kubernetes),
        ImageFamily::Bottlerocket => bottlerocket(version, kubernetes),
        ImageFamily::Ubuntu => ubuntu(kubernetes),
        ImageFamily::Windows2019 => windows("2019", kubernetes),
        ImageFamily::Windows2022 => windows("2022", kubernetes),
        ImageFamily::Windows2025 => windows("2025", kubernetes),
        ImageFamily::Custom => Vec::new(),
    }
}

const EKS: &str = "/aws/service/eks/optimized-ami";

fn al2(version: &str, kubernetes: &str) -> Vec<Variant> {
    let variant = |suffix: &str, arch, kinds| {
        let name = match version {
            "latest" => "recommended".to_owned(),
            version => {
                let infix = suffix.trim_start_matches('-');
                let infix = if infix.is_empty() { String::new() } else { format!("{infix}-") };
                format!("amazon-eks-{infix}node-{kubernetes}-{version}")
            }
        };
        let parameter = format!("{EKS}/{kubernetes}/amazon-linux-2{suffix}/{name}/image_id");
        Variant { parameter, arch, kinds }
    };
    vec![
        variant("", "amd64", &[Kind::Plain]),
        variant("-arm64", "arm64", &[Kind::Plain]),
        variant("-gpu", "amd64", &[Kind::Gpu, Kind::Accelerator]),
    ]
}

fn al2023(version: &str, kubernetes: &str) -> Vec<Variant> {
    let variant = |aws_arch: &str, arch, kind: &str, kinds| {
        let name = match version {
            "latest" => "recommended".to_owned(),
            version => format!("amazon-eks-node-al2023-{aws_arch}-{kind}-{kubernetes}-{version}"),
        };
        let parameter =
            format!("{EKS}/{kubernetes}/amazon-linux-2023/{aws_arch}/{kind}/{name}/image_id");
        Variant { parameter, arch, kinds }
    };
    vec![
        variant("x86_64", "amd64", "standard", &[Kind::Plain]),
        variant("arm64", "arm64", "standard", &[Kind::Plain]),
        variant("x86_64", "amd64", "nvidia", &[Kind::Gpu]),
        variant("arm64", "arm64", "nvidia", &[Kind::Gpu]),
        variant("x86_64", "amd64", "neuron", &[Kind::Accelerator]),
    ]
}

fn bottlerocket(version: &str, kubernetes: &str) -> Vec<Variant> {
    let version = version.trim_start_matches('v');
    let variant = |suffix: &str, aws_arch: &str, arch, kinds| {
        let parameter = format!(
            "/aws/service/bottlerocket/aws-k8s-{kubernetes}{suffix}/{aws_arch}/{version}/image_id"
        );
        Variant { parameter, arch, kinds }
    };
    vec![
        variant("", "x86_64", "amd64", &[Kind::Plain, Kind::Accelerator]),
        variant("", "arm64", "arm64", &[Kind::Plain]),
        variant("-nvidia", "x86_64", "amd64", &[Kind::Gpu]),
        variant("-nvidia", "arm64", "arm64", &[Kind::Gpu]),
    ]
}

fn ubuntu(kubernetes: &str) -> Vec<Variant> {
    let variant = |arch: &'static str| Variant {
        parameter: format!(
            "/aws/service/canonical/ubuntu/eks/20.04/{kubernetes}/stable/current/{arch}/hvm/ebs-gp2/ami-id"
        ),
        arch,
        kinds: &[Kind::Any],
    };
    vec![variant("amd64"), variant("arm64")]
}

fn windows(year: &str, kubernetes: &str) -> Vec<Variant> {
    let parameter = format!(
        "/aws/service/ami-windows-latest/Windows_Server-{year}-English-Core-EKS_Optimized-{kubernetes}/image_id"
    );
    vec![Variant { parameter, arch: "amd64", kinds: &[Kind::Windows] }]
}
