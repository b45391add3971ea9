//! Where the objects come from: files, or the cluster of a kubeconfig.

use std::path::PathBuf;

use anyhow::{Result, bail};
use catalog::Catalog;
use observe::{Dump, DumpOptions, read_dump};

/// The files or the cluster to read.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Input {
    /// Files to read instead of the cluster (YAML or JSON, also gzip); - is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// The cluster to read, as kubectl names it.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ClusterArguments {
    /// The kubeconfig context of the cluster; the current one if it is not given
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The kubeconfig file; $KUBECONFIG or ~/.kube/config if it is not given
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The EKS cluster's name, by which AWS is asked; the context tells it if `aws eks update-kubeconfig` wrote it
    #[arg(long, value_name = "NAME", env = "CLUSTER_NAME")]
    pub(crate) cluster: Option<String>,
}

impl Input {
    /// Reads the files, or the cluster where none are named. `all_pods` asks for running pods even if nothing seems to need them.
    pub(crate) fn read(
        &self,
        catalog: &Catalog,
        options: &DumpOptions,
        all_pods: bool,
    ) -> Result<Dump> {
        if self.is_cluster() {
            return self.read_cluster(catalog, options, all_pods);
        }
        if self.cluster.context.is_some() || self.cluster.kubeconfig.is_some() {
            bail!("--context and --kubeconfig name a cluster, and cannot be used with -f");
        }
        Ok(read_dump(&self.files, catalog, options)?)
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.files.is_empty()
    }

    #[cfg(feature = "live")]
    fn read_cluster(
        &self,
        catalog: &Catalog,
        options: &DumpOptions,
        all_pods: bool,
    ) -> Result<Dump> {
        super::cluster::read(&self.cluster, catalog, options, all_pods)
    }

    #[cfg(not(feature = "live"))]
    fn read_cluster(&self, _: &Catalog, _: &DumpOptions, _: bool) -> Result<Dump> {
        bail!(
            "this build reads no clusters; name files with -f, or install joiner with its feature `live`"
        );
    }
}
