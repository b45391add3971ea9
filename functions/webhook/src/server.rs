//! Listeners: connections are accepted, bounded in number, and served until the process ends.

use crate::http::{Request, Response, serve};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// How many connections are served at once; others wait.
const CONNECTIONS: u32 = 32;
/// The longest that a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the last requests may take when the process ends.
const DRAIN: Duration = Duration::from_secs(5);

/// One listener.
pub(crate) struct Server<A> {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: Arc<A>,
}

impl<A> Server<A>
where
    A: Fn(Request) -> Response + Send + Sync + 'static,
{
    /// Listens on the address.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub(crate) async fn bind(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        answer: A,
    ) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, tls, answer: Arc::new(answer) })
    }

    /// The address listened on.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, and then lets the requests in progress end.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS as usize));
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&places) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let (tls, answer, stop) = (self.tls.clone(), Arc::clone(&self.answer), stop.clone());
            tokio::spawn(async move {
                if let Err(error) = connection(stream, tls, &*answer, stop).await {
                    tracing::debug!(%error, "a connection broke");
                }
                drop(place);
            });
        }
        drop(self.listener);
        let _ = tokio::time::timeout(DRAIN, places.acquire_many(CONNECTIONS)).await;
    }

    async fn accept(
        &self,
        places: &Arc<Semaphore>,
    ) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
        Ok((self.listener.accept().await?.0, place))
    }
}

async fn connection<A>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    answer: &A,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()>
where
    A: Fn(Request) -> Response,
{
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match tls {
        Some(tls) => Box::new(tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??),
        None => Box::new(stream),
    };
    serve(stream, answer, stop).await
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
