//! The certificate of the admission server: made here, signed by an authority made for it, and renewed before it ends.
//!
//! Each renewal makes a new authority, signs one certificate with it, and throws the authority's key away: nobody who reads
//! the Secret can sign another. API servers are given the new authority and the one before, so both replicas' certificates
//! are trusted while one of them still serves the old.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, RwLock};

/// How long the certificate holds.
const LEAF_DAYS: i64 = 90;
/// How long its authority holds.
const AUTHORITY_DAYS: i64 = 365;
/// How long before its end the certificate is renewed.
const RENEW_DAYS: i64 = 30;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// It could not be made.
    #[error("certificate: cannot be made: {0}; look at the names in --admission-hosts")]
    Making(#[from] rcgen::Error),
    /// What is stored cannot be served.
    #[error("certificate: what is stored cannot be served: {0}; the leader makes a new one")]
    Stored(String),
}

/// A certificate as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The authorities to trust, PEM: the one that signed, and the one before it.
    pub(crate) authorities: String,
    /// The certificate, PEM.
    pub(crate) certificate: String,
    /// Its key, PEM. Never logged.
    pub(crate) key: String,
    /// The names that it is for, sorted, with commas between.
    pub(crate) hosts: String,
    /// When it ends.
    pub(crate) until: Timestamp,
}

/// The names in the form in which they are stored.
pub(crate) fn joined(hosts: &[String]) -> String {
    let mut hosts = hosts.to_vec();
    hosts.sort();
    hosts.dedup();
    hosts.join(",")
}

impl Stored {
    /// A new certificate for the hosts. `before` is what it takes the place of.
    pub(crate) fn renew(
        hosts: &[String],
        before: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let authority = CertifiedIssuer::self_signed(authority(now), KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = leaf(hosts, now)?.signed_by(&key, &authority)?;
        let mut authorities = authority.pem();
        let last = before
            .filter(|before| before.until > now)
            .and_then(|before| first(&before.authorities));
        authorities.extend(last);
        Ok(Self {
            authorities,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            hosts: joined(hosts),
            until: days_after(now, LEAF_DAYS),
        })
    }

    /// Whether it should be renewed: it ends soon, is for other names, or cannot be served.
    pub(crate) fn is_due(&self, hosts: &[String], now: Timestamp) -> bool {
        days_after(now, RENEW_DAYS) >= self.until
            || self.hosts != joined(hosts)
            || self.served().is_err()
    }

    /// The certificate as it is served.
    pub(crate) fn served(&self) -> Result<CertifiedKey, CertificateError> {
        let stored = |error: &dyn std::fmt::Display| CertificateError::Stored(error.to_string());
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| stored(&error))?;
        let key =
            PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| stored(&error))?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|error| stored(&error))
    }
}

/// The first certificate of several.
fn first(pem: &str) -> Option<&str> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let pem = pem.trim_start();
    pem.find(END).map(|at| &pem[..at + END.len()])
}

fn authority(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("joiner-webhook {}", now.as_second()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    hold(&mut params, now, AUTHORITY_DAYS);
    params
}

fn leaf(hosts: &[String], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    hold(&mut params, now, LEAF_DAYS);
    Ok(params)
}

/// From the day before, as clocks differ, to the day after the last, as these times are whole days.
fn hold(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let date = |days| {
        let date = days_after(now, days).to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    params.not_before = date(-1);
    params.not_after = date(days + 1);
}

fn days_after(now: Timestamp, days: i64) -> Timestamp {
    now.saturating_add((days * 24).hours()).unwrap_or(Timestamp::MAX)
}

/// The certificate that is served now; a new one takes its place without a restart.
#[derive(Debug, Default)]
pub(crate) struct Served(RwLock<Option<Arc<CertifiedKey>>>);

impl Served {
    /// Serves this one from the next handshake on.
    pub(crate) fn set(&self, key: CertifiedKey) {
        let mut served = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *served = Some(Arc::new(key));
    }

    /// A TLS server that serves it.
    ///
    /// # Errors
    /// If the cryptography knows no common protocol version.
    pub(crate) fn config(self: Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.with_no_client_auth().with_cert_resolver(self))
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
#[path = "certificate/tests.rs"]
mod tests;
