use super::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

fn hosts() -> Vec<String> {
    vec!["joiner-webhook.joiner.svc".to_owned(), "127.0.0.1".to_owned()]
}

fn now() -> Timestamp {
    Timestamp::now()
}

/// Whether a client that trusts the authorities shakes hands with a server of that certificate.
fn is_trusted(authorities: &str, stored: &Stored, host: &str) -> bool {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let served = Arc::new(Served::default());
    served.set(stored.served().unwrap());
    let server = Arc::new(served.config().unwrap());
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        if server.process_new_packets().is_err() {
            return false;
        }
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    true
}

#[test]
fn a_certificate_is_trusted_for_its_hosts_and_no_others() {
    let stored = Stored::renew(&hosts(), None, now()).unwrap();
    assert!(is_trusted(&stored.authorities, &stored, "joiner-webhook.joiner.svc"));
    assert!(is_trusted(&stored.authorities, &stored, "127.0.0.1"));
    assert!(!is_trusted(&stored.authorities, &stored, "other.joiner.svc"));
    let other = Stored::renew(&hosts(), None, now()).unwrap();
    assert!(!is_trusted(&other.authorities, &stored, "127.0.0.1"));
}

#[test]
fn while_it_is_renewed_both_certificates_are_trusted() {
    let old = Stored::renew(&hosts(), None, now()).unwrap();
    let new = Stored::renew(&hosts(), Some(&old), now()).unwrap();
    assert!(is_trusted(&new.authorities, &new, "127.0.0.1"));
    assert!(is_trusted(&new.authorities, &old, "127.0.0.1"));
    let newest = Stored::renew(&hosts(), Some(&new), now()).unwrap();
    assert_eq!(newest.authorities.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(is_trusted(&newest.authorities, &new, "127.0.0.1"));
    assert!(!is_trusted(&newest.authorities, &old, "127.0.0.1"));
}

#[test]
fn it_is_renewed_in_time_or_when_it_cannot_be_served() {
    let stored = Stored::renew(&hosts(), None, now()).unwrap();
    let check = |stored: &Stored, hosts: &[String], days: i64, expected: bool| {
        assert_eq!(stored.is_due(hosts, days_after(now(), days)), expected, "after {days} days");
    };
    check(&stored, &hosts(), 0, false);
    check(&stored, &hosts(), 59, false);
    check(&stored, &hosts(), 61, true);
    let reversed = hosts().into_iter().rev().collect::<Vec<_>>();
    check(&stored, &reversed, 0, false);
    check(&stored, &["other".to_owned()], 0, true);
    check(&Stored { key: String::new(), ..stored.clone() }, &hosts(), 0, true);
    let other = Stored::renew(&hosts(), None, now()).unwrap();
    check(&Stored { key: other.key, ..stored.clone() }, &hosts(), 0, true);
    check(&Stored { certificate: "garbage".into(), ..stored }, &hosts(), 0, true);
    check(&Stored::default(), &hosts(), 0, true);
}

#[test]
fn an_authority_that_has_ended_is_not_trusted_on() {
    let old =
        Stored { until: days_after(now(), -1), ..Stored::renew(&hosts(), None, now()).unwrap() };
    let new = Stored::renew(&hosts(), Some(&old), now()).unwrap();
    assert_eq!(new.authorities.matches("BEGIN CERTIFICATE").count(), 1);
}
