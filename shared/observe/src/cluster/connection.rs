//! The way to an API server.

use super::token::EksToken;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use model::ClusterFacts;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use tower::filter::AsyncFilterLayer;
use tower::{BoxError, ServiceBuilder};

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How often a connection with requests on it is asked whether it lives, and how long it may take to say so: a function that was
/// frozen may have lost it without notice.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_DEADLINE: Duration = Duration::from_secs(3);

/// How many bytes the server may send ahead on one stream and on all: the burst of a watch that has to wait is cut off by the server.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// There is no way to the cluster.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// There is no kubeconfig, or it cannot be used.
    #[error("{0}")]
    Kubeconfig(String),
    /// What is known of the cluster cannot be used.
    #[error("the cluster {cluster} cannot be reached: its {what} is not usable: {cause}")]
    Facts {
        /// The cluster's name.
        cluster: String,
        /// `endpoint` or `certificate authority`.
        what: &'static str,
        /// The cause.
        cause: String,
    },
    /// TLS or the credentials cannot be set up.
    #[error("the connection to the API server cannot be set up: {0}")]
    Setup(String),
}

/// A connection to the API server, ready to ask.
///
/// It speaks HTTP/2 where the server does: lists run side by side over one connection, to one server behind the endpoint, and a watch is
/// ended without closing it.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// Which cluster it is, for people: the context or the cluster's name.
    pub name: String,
}

impl Connection {
    /// By a kubeconfig: the file, else `$KUBECONFIG`, else `~/.kube/config`; the context, else the current one. Users with exec plugins
    /// (`aws eks get-token`) work.
    pub async fn from_kubeconfig(
        file: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ConnectionError> {
        let text =
            |error: &dyn std::error::Error| ConnectionError::Kubeconfig(super::causes(error));
        let kubeconfig = match file {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        }
        .map_err(|error| text(&error))?;
        let name = context.or(kubeconfig.current_context.as_deref()).unwrap_or_default().to_owned();
        if name.is_empty() {
            let message = "the kubeconfig has no current context; choose one with `kubectl config use-context NAME` or --context";
            return Err(ConnectionError::Kubeconfig(message.to_owned()));
        }
        let options =
            KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = plain(config.map_err(|error| text(&error))?)?;
        Ok(Self { client, name })
    }

    /// By what DescribeCluster tells of an EKS cluster, as the AWS identity of these credentials.
    pub fn from_eks(
        facts: &ClusterFacts,
        credentials: SharedCredentialsProvider,
        region: &str,
    ) -> Result<Self, ConnectionError> {
        let wrong = |what, cause: String| ConnectionError::Facts {
            cluster: facts.name.clone(),
            what,
            cause,
        };
        let endpoint = facts.endpoint.parse::<http::Uri>();
        let endpoint = endpoint.map_err(|error| wrong("endpoint", error.to_string()))?;
        let mut config = Config::new(endpoint);
        let authority = STANDARD.decode(facts.certificate_authority.trim());
        let authority =
            authority.map_err(|error| wrong("certificate authority", error.to_string())).and_then(
                |pem| certificates(&pem).map_err(|cause| wrong("certificate authority", cause)),
            )?;
        config.root_cert = Some(authority);
        let token = EksToken::new(&facts.name, region, credentials);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .layer(AsyncFilterLayer::new(token))
            .map_err(BoxError::from)
            .service(http_client(&config)?);
        Ok(Self { client: Client::new(service, "default"), name: facts.name.clone() })
    }
}

/// The certificates of a PEM file, as DER.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let all = CertificateDer::pem_slice_iter(pem);
    let all = all.map(|certificate| certificate.map(|der| der.to_vec()));
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if all.is_empty() { Err("it holds no PEM certificate".to_owned()) } else { Ok(all) }
}

type Https = hyper_rustls::HttpsConnector<HttpConnector>;
type HttpClient = hyper_util::client::legacy::Client<Https, kube::client::Body>;

fn http_client(config: &Config) -> Result<HttpClient, ConnectionError> {
    let setup = |error: &dyn std::error::Error| ConnectionError::Setup(super::causes(error));
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been quicker, which is as well.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
    let tls = config.rustls_client_config().map_err(|error| setup(&error))?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_DEADLINE));
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match &config.tls_server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone()).map_err(|error| setup(&error))?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    let connector = builder.enable_all_versions().wrap_connector(http);
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_DEADLINE)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector);
    Ok(client)
}

fn plain(config: Config) -> Result<Client, ConnectionError> {
    let setup = |error: &dyn std::error::Error| ConnectionError::Setup(super::causes(error));
    if config.proxy_url.is_some() {
        // Kube's own stack says which proxies this build knows.
        return Client::try_from(config).map_err(|error| setup(&error));
    }
    let auth = config.auth_layer().map_err(|error| setup(&error))?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .map_err(BoxError::from)
        .service(http_client(&config)?);
    Ok(Client::new(service, config.default_namespace))
}
