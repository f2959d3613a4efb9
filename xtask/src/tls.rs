//! The TLS connection to a database, and how the server's certificate is verified.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The certificates that a server may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Any certificate: the connection is encrypted, but the server is not verified.
    Anyone,
    /// A certificate signed by an authority of this file, for any host name.
    Authority(PathBuf),
    /// A certificate for the host's name, signed by an authority of the file, or by a public one.
    Host(Option<PathBuf>),
}

/// Verifies a server's certificate without its name.
#[derive(Debug)]
struct Nameless {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

pub(crate) fn connector(trust: &Trust) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = |file: Option<&Path>| -> Result<_> {
        let roots = Arc::new(roots(file)?);
        Ok(WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build()?)
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous();
    let nameless = |authority| Arc::new(Nameless { authority, provider: provider.clone() });
    let builder = match trust {
        Trust::Anyone => builder.with_custom_certificate_verifier(nameless(None)),
        Trust::Authority(file) => {
            builder.with_custom_certificate_verifier(nameless(Some(verifier(Some(file))?)))
        }
        Trust::Host(file) => builder.with_custom_certificate_verifier(verifier(file.as_deref())?),
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

/// The authorities of the file, or those that browsers trust.
fn roots(file: Option<&Path>) -> Result<RootCertStore> {
    let Some(file) = file else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let shown = || format!("sslrootcert={}", file.display());
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).with_context(shown)? {
        store.add(certificate.with_context(shown)?).with_context(shown)?;
    }
    if store.is_empty() {
        bail!("{}: the file has no certificate (-----BEGIN CERTIFICATE-----)", shown());
    }
    Ok(store)
}

impl ServerCertVerifier for Nameless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is checked last, so the authority's signature has been verified by then.
        match authority.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(fault)) if is_of_name(&fault) => {
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_of_name(fault: &CertificateError) -> bool {
    matches!(
        fault,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    )
}

/// Explains a TLS error, and what to do. `None` if the error is not one of TLS.
pub(crate) fn explain(error: &tokio_postgres::Error, trust: &Trust) -> Option<String> {
    let cause = std::error::Error::source(error)?;
    if cause.to_string() == "server does not support TLS" {
        return Some(
            "the server has no TLS, and no password is sent without it: sslmode is `require` for \
             every host but this machine; where the way there is your own, add `?sslmode=disable` \
             to the address"
                .to_owned(),
        );
    }
    let cause = cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<Error>()?;
    let Error::InvalidCertificate(fault) = cause else {
        return Some(format!("TLS: {cause}"));
    };
    let words = match fault {
        // An authority of the same name with another key causes a bad signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => match trust {
            Trust::Host(None) => {
                "no public authority vouches for the server's certificate; Supabase's own one is \
                 downloaded under Database, Settings, SSL Configuration: add \
                 `&sslrootcert=<file>` to the address"
            }
            _ => {
                "the authority in sslrootcert does not vouch for the server's certificate: it is \
                 another server, or the file is of another project"
            }
        }
        .to_owned(),
        fault if is_of_name(fault) => {
            "the server's certificate is for another host: take the host as Connect shows it, or \
             sslmode=verify-ca"
                .to_owned()
        }
        fault => format!("the server's certificate is refused: {fault}"),
    };
    Some(words)
}
