//! Windows: the user's PowerShell, then the EKS bootstrap script.

use super::{Bootstrap, TemplateError};

const OPEN: &str = "<powershell>";
const CLOSE: &str = "</powershell>";

pub(super) fn render(bootstrap: &Bootstrap) -> Result<String, TemplateError> {
    let mut text = format!("{OPEN}\n");
    if let Some(users) = bootstrap.users() {
        text.push_str(within_tags(users));
        text.push('\n');
    }
    text.push_str(
        "[string]$EKSBootstrapScriptFile = \"$env:ProgramFiles\\Amazon\\EKS\\Start-EKSBootstrap.ps1\"\n",
    );
    text.push_str(&call(bootstrap)?);
    text.push_str(&format!("\n{CLOSE}\n"));
    Ok(text)
}

/// EC2 reads one pair of tags, so the user's own pair around all is left out.
fn within_tags(users: &str) -> &str {
    let inner = users.trim().strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE));
    inner.unwrap_or(users)
}

fn call(bootstrap: &Bootstrap) -> Result<String, TemplateError> {
    let mut line =
        format!("& $EKSBootstrapScriptFile -EKSClusterName '{}'", bootstrap.cluster_word("name")?);
    line.push_str(&format!(" -APIServerEndpoint '{}'", bootstrap.cluster_word("endpoint")?));
    if !bootstrap.cluster.certificate_authority.is_empty() {
        let authority = bootstrap.cluster_word("certificate authority")?;
        line.push_str(&format!(" -Base64ClusterCA '{authority}'"));
    }
    line.push_str(&format!(" -KubeletExtraArgs '{}'", bootstrap.kubelet_flags()?));
    if let Some(address) = bootstrap.kubelet.cluster_dns.first() {
        bootstrap.quotable("kubelet.clusterDNS", address)?;
        line.push_str(&format!(" -DNSClusterIP '{address}'"));
    }
    Ok(line)
}
