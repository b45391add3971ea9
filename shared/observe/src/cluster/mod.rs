//! Reading a live cluster: the connection, what is kept between turns, and what is read in each.

mod api;
mod connection;
mod error;
mod kinds;
mod mask;
mod objects;
mod reader;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod watch;

pub use api::Traffic;
pub use connection::{Connection, ConnectionError};
pub use error::ClusterReadError;
pub use objects::list_objects;
pub use reader::{ClusterReader, ClusterReading, ConfigMapName, Scope, StaleRead};
pub use token::{EksToken, TokenError};

/// An error and what caused it, each cause once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    model::account::redacted(&text)
}
