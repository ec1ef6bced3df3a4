//! A certificate authority of one's own and a certificate for loopback, made afresh for each server.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A server's certificate for `localhost` and `127.0.0.1` with the authority that signed it, all as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The authority's certificate: what a client has to trust.
    pub ca_pem: String,
    /// The server's certificate.
    pub certificate_pem: String,
    /// The server's private key.
    pub key_pem: String,
}

impl Identity {
    /// Makes a new authority and has it sign a new certificate.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn issue() -> anyhow::Result<Self> {
        Self::issue_for(&["localhost", "127.0.0.1"])
    }

    /// Makes a certificate for other names: a client on loopback has to refuse it.
    ///
    /// # Errors
    /// If a name is not a DNS name or address.
    pub fn issue_for(names: &[&str]) -> anyhow::Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, "world test authority");
        let ca_pem = ca.self_signed(&ca_key)?.pem();

        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut server = CertificateParams::new(names)?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.distinguished_name.push(DnType::CommonName, "world test server");
        let certificate_pem = server.signed_by(&key, &Issuer::new(ca, ca_key))?.pem();
        Ok(Self { ca_pem, certificate_pem, key_pem: key.serialize_pem() })
    }

    /// What a TLS server presents this certificate with.
    ///
    /// # Errors
    /// If certificate and key are not a pair.
    pub fn server_config(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let chain = vec![CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }

    /// What a TLS client trusts this authority with, and no other.
    ///
    /// # Errors
    /// If the authority's certificate is not one.
    pub fn client_config(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?;
        roots.add(ca).context("not a certificate of an authority")?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// Named here so that no process-wide provider is needed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
