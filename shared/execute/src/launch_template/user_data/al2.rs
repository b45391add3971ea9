//! Amazon Linux 2 and Ubuntu: a MIME archive whose last part calls `/etc/eks/bootstrap.sh`.

use super::{Bootstrap, TemplateError, mime};
use model::pool::ImageFamily;

pub(super) fn render(bootstrap: &Bootstrap) -> Result<String, TemplateError> {
    let mut parts = bootstrap.users_parts(mime::SHELL)?;
    parts.push(mime::part(mime::SHELL, &script(bootstrap)?));
    Ok(mime::archive(&parts))
}

impl Bootstrap<'_> {
    /// The user's parts, as they are; user data that is not MIME becomes one part, of `plain` if its first line tells no other type.
    pub(super) fn users_parts(&self, plain: &str) -> Result<Vec<String>, TemplateError> {
        let Some(text) = self.users() else { return Ok(Vec::new()) };
        if mime::is_archive(text) {
            let parts = mime::parts(text).map_err(|message| self.error("userData", &message))?;
            return Ok(parts.into_iter().map(str::to_owned).collect());
        }
        Ok(vec![mime::part(mime::content_type(text).unwrap_or(plain), text)])
    }
}

fn script(bootstrap: &Bootstrap) -> Result<String, TemplateError> {
    let mut line = format!("/etc/eks/bootstrap.sh '{}'", bootstrap.cluster_word("name")?);
    for (flag, value) in arguments(bootstrap)? {
        line.push_str(&format!(" \\\n{flag} {value}"));
    }
    let log = "exec > >(tee /var/log/user-data.log|logger -t user-data -s 2>/dev/console) 2>&1";
    Ok(format!("#!/bin/bash -xe\n{log}\n{line}\n"))
}

fn arguments(bootstrap: &Bootstrap) -> Result<Vec<(&'static str, String)>, TemplateError> {
    let quoted = |text: &str| format!("'{text}'");
    let spec = bootstrap.spec;
    let mut all = vec![("--apiserver-endpoint", quoted(bootstrap.cluster_word("endpoint")?))];
    if !bootstrap.cluster.certificate_authority.is_empty() {
        all.push(("--b64-cluster-ca", quoted(bootstrap.cluster_word("certificate authority")?)));
    }
    if bootstrap.cluster.ipv6 {
        all.push(("--ip-family", "ipv6".to_owned()));
    }
    if let Some(address) = bootstrap.kubelet.cluster_dns.first() {
        bootstrap.quotable("kubelet.clusterDNS", address)?;
        all.push(("--dns-cluster-ip", quoted(address)));
    }
    // The images of newer versions refuse this flag, and containerd needs none.
    if bootstrap.kubelet.container_runtime.as_deref() == Some("dockerd") {
        all.push(("--container-runtime", "dockerd".to_owned()));
    }
    all.push(("--use-max-pods", "false".to_owned()));
    if spec.instance_store_raid0 && spec.image_family == ImageFamily::Al2 {
        all.push(("--local-disks", "raid0".to_owned()));
    }
    all.push(("--kubelet-extra-args", quoted(&bootstrap.kubelet_flags()?)));
    Ok(all)
}

impl Bootstrap<'_> {
    /// A fact of the cluster that goes between quotes.
    pub(super) fn cluster_word(&self, field: &'static str) -> Result<&str, TemplateError> {
        let text = match field {
            "endpoint" => &self.cluster.endpoint,
            "certificate authority" => &self.cluster.certificate_authority,
            _ => &self.cluster.name,
        };
        self.quotable(field, text)?;
        Ok(text)
    }
}
