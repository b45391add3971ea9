//! What each family's user data is, to the byte.

use super::super::testing::{all_kubelet_settings, class, cluster, map, request};
use super::*;
use model::pool::ApiVersion;

/// The labels that every node of the request gets.
const LABELS: &str = "karpenter.sh/capacity-type=spot,karpenter.sh/do-not-sync-taints=true,karpenter.sh/nodepool=general,team=a";
const TAINTS: &str = "karpenter.sh/unregistered:NoExecute,role=jupyter:NoSchedule";

fn rendered(spec: &NodeClassSpec) -> String {
    render(&request(), spec, &cluster(), Some(29)).unwrap()
}

fn filled(expected: &str) -> String {
    expected.replace("LABELS", LABELS).replace("TAINTS", TAINTS)
}

fn check(family: ImageFamily, user_data: &str, expected: &str) {
    assert_eq!(rendered(&class(family, user_data)), filled(expected));
}

fn refused(family: ImageFamily, user_data: &str, expected: &str) {
    let error = render(&request(), &class(family, user_data), &cluster(), None).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

const AL2_PART: &str = "Content-Type: text/x-shellscript; charset=\"us-ascii\"

#!/bin/bash -xe
exec > >(tee /var/log/user-data.log|logger -t user-data -s 2>/dev/console) 2>&1
/etc/eks/bootstrap.sh 'demo' \\
--apiserver-endpoint 'https://demo.eks' \\
--b64-cluster-ca 'Y2E=' \\
--dns-cluster-ip '10.100.0.10' \\
--use-max-pods false \\
--kubelet-extra-args '--node-labels=\"LABELS\" --register-with-taints=\"TAINTS\" --max-pods=29'
";

fn archive(parts: &[&str]) -> String {
    let mut text =
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n".to_owned();
    parts.iter().for_each(|part| text.push_str(&format!("--//\n{part}\n")));
    text + "--//--\n"
}

#[test]
fn al2_ends_with_the_bootstrap_script() {
    check(ImageFamily::Al2, "", &archive(&[AL2_PART]));
    check(ImageFamily::Al2, " \n", &archive(&[AL2_PART]));
    check(ImageFamily::Ubuntu, "", &archive(&[AL2_PART]));
    let script = "Content-Type: text/x-shellscript; charset=\"us-ascii\"\n\n#!/bin/bash\necho hi\n";
    check(ImageFamily::Al2, "#!/bin/bash\necho hi\n", &archive(&[script, AL2_PART]));
    let config =
        "Content-Type: text/cloud-config; charset=\"us-ascii\"\n\n#cloud-config\nruncmd: []\n";
    check(ImageFamily::Al2, "#cloud-config\nruncmd: []\n", &archive(&[config, AL2_PART]));
}

/// The shape of gen3's user data: a commented boundary within a script, then a part whose header is in its body.
const TRAPS: &str = "MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"BOUNDARY\"

--BOUNDARY
Content-Type: text/x-shellscript; charset=\"us-ascii\"

#!/bin/bash -x
# --BOUNDARY
# Content-Type: text/cloud-config
echo '--BOUNDARY'

--BOUNDARY

Content-Type: text/cloud-config; charset=\"us-ascii\"

power_state:
  mode: reboot

--BOUNDARY--
";

#[test]
fn the_users_parts_come_first_and_unchanged() {
    let script = "Content-Type: text/x-shellscript; charset=\"us-ascii\"\n\n#!/bin/bash -x\n# --BOUNDARY\n# Content-Type: text/cloud-config\necho '--BOUNDARY'\n";
    let text =
        "\nContent-Type: text/cloud-config; charset=\"us-ascii\"\n\npower_state:\n  mode: reboot\n";
    check(ImageFamily::Al2, TRAPS, &archive(&[script, text, AL2_PART]));
    check(ImageFamily::Al2023, TRAPS, &archive(&[script, text, AL2023_PART]));
}

const AL2023_PART: &str = "Content-Type: application/node.eks.aws

apiVersion: \"node.eks.aws/v1alpha1\"
kind: \"NodeConfig\"
spec:
  cluster:
    apiServerEndpoint: \"https://demo.eks\"
    certificateAuthority: \"Y2E=\"
    cidr: \"10.100.0.0/16\"
    name: \"demo\"
  kubelet:
    config:
      clusterDNS:
        - \"10.100.0.10\"
      maxPods: 29
      registerWithTaints:
        - {\"effect\":\"NoExecute\",\"key\":\"karpenter.sh/unregistered\"}
        - {\"effect\":\"NoSchedule\",\"key\":\"role\",\"value\":\"jupyter\"}
    flags:
      - \"--node-labels=\\\"LABELS\\\"\"
";

#[test]
fn al2023_ends_with_a_node_config() {
    check(ImageFamily::Al2023, "", &archive(&[AL2023_PART]));
    let config = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {}\n";
    let part = format!("Content-Type: application/node.eks.aws\n\n{config}");
    check(ImageFamily::Al2023, config, &archive(&[&part, AL2023_PART]));
    let script = "#!/bin/sh\necho 'apiVersion: node.eks.aws/v1alpha1'\n";
    let part = format!("Content-Type: text/x-shellscript; charset=\"us-ascii\"\n\n{script}");
    check(ImageFamily::Al2023, script, &archive(&[&part, AL2023_PART]));
}

#[test]
fn al2023_joins_local_disks_and_needs_the_service_range() {
    let mut spec = class(ImageFamily::Al2023, "");
    spec.instance_store_raid0 = true;
    assert!(
        rendered(&spec).contains("  instance:\n    localStorage:\n      strategy: \"RAID0\"\n")
    );
    let unknown = ClusterFacts { service_cidr: String::new(), ..cluster() };
    let error = render(&request(), &spec, &unknown, None).unwrap_err();
    assert_eq!((error.field, error.class.as_str()), ("amiFamily", "default"));
}

#[test]
fn every_kubelet_setting_reaches_al2() {
    let mut spec = class(ImageFamily::Al2, "");
    spec.kubelet = Some(all_kubelet_settings());
    spec.instance_store_raid0 = true;
    let text = render(&request(), &spec, &cluster(), None).unwrap();
    let from = text.find("--dns-cluster-ip").unwrap();
    let expected = "--dns-cluster-ip '10.0.0.53' \\
--container-runtime dockerd \\
--use-max-pods false \\
--local-disks raid0 \\
--kubelet-extra-args '--node-labels=\"LABELS\" --register-with-taints=\"TAINTS\" --max-pods=110 --pods-per-core=8 \
--eviction-max-pod-grace-period=120 --image-gc-high-threshold=85 --image-gc-low-threshold=80 --cpu-cfs-quota=false \
--system-reserved=cpu=100m,memory=1Gi --kube-reserved=cpu=200m --eviction-hard=memory.available<5% \
--eviction-soft=memory.available<10% --eviction-soft-grace-period=memory.available=1m0s'

--//--
";
    assert_eq!(text[from..], filled(expected));
}

#[test]
fn every_kubelet_setting_reaches_al2023() {
    let mut spec = class(ImageFamily::Al2023, "");
    spec.kubelet = Some(all_kubelet_settings());
    let text = rendered(&spec);
    let (_, config) = text.split_once("    config:\n").unwrap();
    let (config, _) = config.split_once("    flags:").unwrap();
    let expected = "      clusterDNS:
        - \"10.0.0.53\"
      cpuCFSQuota: false
      evictionHard:
        memory.available: \"5%\"
      evictionMaxPodGracePeriod: 120
      evictionSoft:
        memory.available: \"10%\"
      evictionSoftGracePeriod:
        memory.available: \"1m0s\"
      imageGCHighThresholdPercent: 85
      imageGCLowThresholdPercent: 80
      kubeReserved:
        cpu: \"200m\"
      maxPods: 29
      podsPerCore: 8
      registerWithTaints:
        - {\"effect\":\"NoExecute\",\"key\":\"karpenter.sh/unregistered\"}
        - {\"effect\":\"NoSchedule\",\"key\":\"role\",\"value\":\"jupyter\"}
      systemReserved:
        cpu: \"100m\"
        memory: \"1Gi\"
";
    assert_eq!(config, expected);
}

#[test]
fn bottlerocket_gets_toml() {
    let expected = "[settings.kubernetes]
api-server = \"https://demo.eks\"
cluster-certificate = \"Y2E=\"
cluster-dns-ip = \"10.100.0.10\"
cluster-name = \"demo\"
max-pods = 29

[settings.kubernetes.node-labels]
\"karpenter.sh/capacity-type\" = \"spot\"
\"karpenter.sh/do-not-sync-taints\" = \"true\"
\"karpenter.sh/nodepool\" = \"general\"
team = \"a\"

[settings.kubernetes.node-taints]
\"karpenter.sh/unregistered\" = [\":NoExecute\"]
role = [\"jupyter:NoSchedule\"]
";
    check(ImageFamily::Bottlerocket, "", expected);
}

#[test]
fn bottlerocket_merges_the_users_settings_under_ours() {
    let users = "[settings.kubernetes]
cluster-name = 'other'
allowed-unsafe-sysctls = ['net.core.somaxconn']
max-pods = 3
[settings.kubernetes.node-labels]
mine = 'kept'
team = 'b'
[settings.kubernetes.node-taints]
role = 'mine:NoExecute'
[settings.motd]
x = 1
";
    let mut spec = class(ImageFamily::Bottlerocket, users);
    spec.kubelet = Some(all_kubelet_settings());
    spec.instance_store_raid0 = true;
    let all = rendered(&spec).parse::<toml::Table>().unwrap();
    let settings = &all["settings"];
    let kubernetes = &settings["kubernetes"];
    let text = |value: &toml::Value| value.to_string();
    assert_eq!(text(&kubernetes["cluster-name"]), "\"demo\"");
    assert_eq!(text(&kubernetes["allowed-unsafe-sysctls"]), "[\"net.core.somaxconn\"]");
    assert_eq!(text(&kubernetes["max-pods"]), "29");
    assert_eq!(text(&kubernetes["node-labels"]["mine"]), "\"kept\"");
    assert_eq!(text(&kubernetes["node-labels"]["team"]), "\"a\"");
    assert_eq!(
        text(&kubernetes["node-taints"]["role"]),
        "[\"mine:NoExecute\", \"jupyter:NoSchedule\"]"
    );
    assert_eq!(text(&kubernetes["eviction-hard"]), "{ \"memory.available\" = \"5%\" }");
    assert_eq!(text(&kubernetes["image-gc-high-threshold-percent"]), "\"85\"");
    assert_eq!(text(&kubernetes["cpu-cfs-quota-enforced"]), "false");
    assert_eq!(text(&settings["motd"]["x"]), "1");
    let command = &settings["bootstrap-commands"]["000-mount-instance-storage"];
    assert_eq!(text(&command["essential"]), "true");
}

#[test]
fn windows_runs_the_users_script_first() {
    let expected = |users: &str| {
        format!(
            "<powershell>\n{users}[string]$EKSBootstrapScriptFile = \"$env:ProgramFiles\\Amazon\\EKS\\Start-EKSBootstrap.ps1\"\n& $EKSBootstrapScriptFile -EKSClusterName 'demo' -APIServerEndpoint 'https://demo.eks' -Base64ClusterCA 'Y2E=' -KubeletExtraArgs '--node-labels=\"LABELS\" --register-with-taints=\"TAINTS\" --max-pods=29' -DNSClusterIP '10.100.0.10'\n</powershell>\n"
        )
    };
    check(ImageFamily::Windows2022, "", &expected(""));
    check(ImageFamily::Windows2025, "Write-Host 'x'", &expected("Write-Host 'x'\n"));
    check(ImageFamily::Windows2019, "<powershell>A</powershell>\n", &expected("A\n"));
}

#[test]
fn custom_images_get_what_the_user_wrote() {
    check(ImageFamily::Custom, "any\r\nthing\0", "any\r\nthing\0");
    check(ImageFamily::Custom, "", "");
}

#[test]
fn legacy_nodes_carry_the_provisioners_name_and_the_pools_settings() {
    let mut spec = class(ImageFamily::Al2, "");
    spec.api_version = Some(ApiVersion::Legacy);
    let mut request = request();
    request.pool_kubelet =
        Some(KubeletSettings { system_reserved: map("cpu=1"), ..KubeletSettings::default() });
    let text = render(&request, &spec, &cluster(), None).unwrap();
    assert!(text.contains("karpenter.sh/provisioner-name=general"), "{text}");
    assert!(text.contains("--system-reserved=cpu=1"), "{text}");
}

#[test]
fn ipv6_clusters_are_told_to_the_node() {
    let ipv6 = ClusterFacts { service_cidr: "fd30:1::/108".to_owned(), ipv6: true, ..cluster() };
    let text = render(&request(), &class(ImageFamily::Al2, ""), &ipv6, None).unwrap();
    assert!(text.contains("--ip-family ipv6 \\\n--dns-cluster-ip 'fd30:1::a'"), "{text}");
}

#[test]
fn what_cannot_be_brought_to_the_node_is_refused_by_class_and_field() {
    let prefix = "node class default: userData: ";
    let no_boundary = "it is MIME, but its Content-Type is not `multipart/...; boundary=\"...\"`";
    for broken in ["MIME-Version: 1.0\nContent-Type: text/plain\n\nx", "MIME-Version: 1.0\n\nx"] {
        refused(ImageFamily::Al2, broken, &format!("{prefix}{no_boundary}"));
    }
    let unused = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=B\r\n\r\nx";
    refused(
        ImageFamily::Al2023,
        unused,
        &format!("{prefix}it is MIME, but no line is its boundary, `--B`"),
    );
    refused(
        ImageFamily::Al2023,
        "[settings.host]\n",
        &format!(
            "{prefix}this is Bottlerocket's TOML; set amiFamily: Bottlerocket or give a NodeConfig"
        ),
    );
    refused(
        ImageFamily::Bottlerocket,
        "settings = 1",
        &format!("{prefix}`settings` must be a table"),
    );
    let long = "#".repeat(16_385);
    let size = "with what makes the node join it has 16385 bytes, and EC2 takes at most 16384; let a short script fetch the long one";
    refused(ImageFamily::Custom, &long, &format!("{prefix}{size}"));
    assert!(render(&request(), &class(ImageFamily::Custom, &long[1..]), &cluster(), None).is_ok());
    let error =
        render(&request(), &class(ImageFamily::Bottlerocket, "a = 1\nb = = 2"), &cluster(), None);
    assert!(error.unwrap_err().message.starts_with("it is not TOML, as Bottlerocket asks (line 2"));
}

#[test]
fn what_would_leave_its_quotes_is_refused() {
    let mut spec = class(ImageFamily::Al2, "");
    spec.kubelet = Some(KubeletSettings {
        eviction_hard: map("memory.available=5%';reboot"),
        ..KubeletSettings::default()
    });
    let error = render(&request(), &spec, &cluster(), None).unwrap_err();
    assert_eq!(error.field, "kubelet");
    let mut request = request();
    request.labels.insert("a".to_owned(), "$(reboot)".to_owned());
    let error =
        render(&request, &class(ImageFamily::Windows2022, ""), &cluster(), None).unwrap_err();
    assert_eq!(error.field, "labels");
}
