//! Reads AWS as a turn does, three times: cold with an empty memory, cold with a full one, and warm; prints calls, bytes
//! and milliseconds. `read_aws CLUSTER [FILE...]`: the files hold node classes, as YAML or JSON.

use anyhow::Context;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use joiner_observe as observe;
use model::{NodeClassSpec, Timestamp};
use observe::cloud::{Ask, CloudReader, CloudReading, Facts};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Bytes of answers, by their length as the servers tell it.
static BYTES: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Counted(SharedHttpClient);

#[derive(Debug)]
struct CountedConnector(SharedHttpConnector);

impl HttpClient for Counted {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(CountedConnector(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for CountedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            let length = answer.headers().get("content-length").and_then(|text| text.parse().ok());
            BYTES.fetch_add(length.unwrap_or(0), Ordering::Relaxed);
            Ok(answer)
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("usage: read_aws CLUSTER [FILE...]")?;
    let files = arguments.collect::<Vec<_>>();
    let classes = classes(&files)?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https();
    let config = config.to_builder().http_client(Counted(client)).build();
    let mut memory = Facts::default();
    let mut reader = reader(&config)?;
    read("cold, knowing nothing", &mut reader, &name, &classes, &mut memory).await?;
    let data = memory.to_config_map_data();
    let sizes = data.iter().map(|(key, text)| format!("{key} {} bytes", text.len()));
    println!("ConfigMap: {}", sizes.collect::<Vec<_>>().join(", "));
    let (mut memory, findings) = Facts::from_config_map_data(&data);
    findings.iter().for_each(|finding| println!("{finding}"));
    let mut reader = self::reader(&config)?;
    read("cold, with the ConfigMap", &mut reader, &name, &classes, &mut memory).await?;
    read("warm", &mut reader, &name, &classes, &mut memory).await
}

fn reader(config: &SdkConfig) -> anyhow::Result<CloudReader> {
    Ok(CloudReader::new(config, catalog::Catalog::embedded()?))
}

fn classes(files: &[String]) -> anyhow::Result<Vec<Arc<NodeClassSpec>>> {
    let mut classes = Vec::new();
    let files = files.iter().map(PathBuf::from).collect::<Vec<_>>();
    observe::documents::read_files(&files, &mut |document| match document {
        Ok(document) => classes.extend(api::node_class_spec(&document.value).map(Arc::new)),
        Err(error) => println!("{error}"),
    })?;
    Ok(classes)
}

async fn read(
    what: &str,
    reader: &mut CloudReader,
    name: &str,
    classes: &[Arc<NodeClassSpec>],
    memory: &mut Facts,
) -> anyhow::Result<()> {
    let now = Timestamp(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64);
    let started = Instant::now();
    let cluster = reader.cluster(name, now).await?;
    let ask = Ask {
        now,
        cluster: &cluster,
        classes,
        refresh_market: true,
        isolated_vpc: false,
        has_instances: true,
        has_spot: true,
    };
    let reading = reader.read(&ask, memory).await?;
    let elapsed = started.elapsed();
    let bytes = BYTES.swap(0, Ordering::Relaxed);
    println!("{what}: {:.1} ms, {bytes} bytes", elapsed.as_secs_f64() * 1000.0);
    print(&reading);
    Ok(())
}

fn print(reading: &CloudReading) {
    let calls = reading.calls.iter().map(|(call, count)| format!("{call} {count}"));
    println!("  calls: {}", calls.collect::<Vec<_>>().join(", "));
    println!("  {} instances", reading.instances.len());
    for class in &reading.classes {
        let (subnets, groups) = (class.subnets.len(), class.security_groups.len());
        println!(
            "  class {}: {subnets} subnets, {groups} security groups, {} images",
            class.spec.name,
            class.images.len()
        );
        for (condition, message) in &class.problems {
            println!("    {condition}: {message}");
        }
    }
    for stale in &reading.stale {
        println!("  stale: {} ({:?} s): {}", stale.what, stale.age_s, stale.error);
    }
}
