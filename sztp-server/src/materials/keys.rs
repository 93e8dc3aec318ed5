//! Private keys: in a file, encrypted or not, or in a token.

use std::path::Path;
use std::sync::Arc;

use sztp_cms::{Certificate, Signer, SigningKey};

use super::{TlsIdentity, read, read_certificates};
use crate::ServerError;
use crate::config::OwnerConfig;

/// The certificates of a file, and the key of the first.
pub(crate) fn read_pair(
    certificate: &Path,
    key: &Path,
    passphrase: Option<&str>,
) -> Result<TlsIdentity, ServerError> {
    let chain = read_certificates(certificate)?;
    let secret = read_key(key, passphrase)?;
    check_pair(certificate, &chain, key, &secret)?;
    Ok((chain, secret))
}

/// The owner's.
pub(super) fn read_owner(
    config: &OwnerConfig,
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<Certificate>, Arc<dyn Signer>), ServerError> {
    read_signer(&SignerFiles {
        name: "owner",
        certificate,
        key,
        passphrase_file: config.key_passphrase_file.as_deref(),
        passphrase_variable: OWNER_PASSPHRASE,
        pkcs11_module: config.pkcs11_module.as_deref(),
    })
}

/// Where a certificate and the key to sign with are, which may be in a token.
pub(crate) struct SignerFiles<'a> {
    /// The table of the configuration, for errors.
    pub(crate) name: &'static str,
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
    pub(crate) passphrase_file: Option<&'a Path>,
    pub(crate) passphrase_variable: &'static str,
    #[cfg_attr(
        not(feature = "pkcs11"),
        allow(dead_code, reason = "there is nothing to load it with")
    )]
    pub(crate) pkcs11_module: Option<&'a Path>,
}

/// The certificates of a file, and the first one's key, wherever it is.
pub(crate) fn read_signer(
    files: &SignerFiles<'_>,
) -> Result<(Vec<Certificate>, Arc<dyn Signer>), ServerError> {
    let SignerFiles {
        certificate, key, ..
    } = files;
    let passphrase = passphrase(files.passphrase_file, files.passphrase_variable)?;
    let chain = read_certificates(certificate)?;
    let signer: Arc<dyn Signer> = match key.to_str().filter(|text| text.starts_with("pkcs11:")) {
        Some(uri) => in_token(files, uri, passphrase.as_deref())?,
        None => Arc::new(read_key(key, passphrase.as_deref())?),
    };
    check_pair(certificate, &chain, key, signer.as_ref())?;
    Ok((chain, signer))
}

/// What is in the file, without the end of its line, or in the environment.
pub(crate) fn passphrase(
    file: Option<&Path>,
    variable: &str,
) -> Result<Option<String>, ServerError> {
    let Some(file) = file else {
        return Ok(std::env::var(variable).ok());
    };
    let octets = read(file)?;
    let text = String::from_utf8(octets).map_err(|_| ServerError::File {
        path: file.to_owned(),
        reason: "not UTF-8".to_owned(),
    })?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_key(path: &Path, passphrase: Option<&str>) -> Result<SigningKey, ServerError> {
    let octets = read(path)?;
    let key = match passphrase {
        Some(passphrase) if SigningKey::is_encrypted(&octets) => {
            SigningKey::from_encrypted(&octets, passphrase)
        }
        _ => SigningKey::from_pem_or_der(&octets),
    };
    key.map_err(|error| ServerError::Key {
        path: path.to_owned(),
        error,
    })
}

fn check_pair(
    certificate: &Path,
    chain: &[Certificate],
    key: &Path,
    secret: &dyn Signer,
) -> Result<(), ServerError> {
    if chain[0].spki_der() == secret.spki_der() {
        return Ok(());
    }
    Err(ServerError::KeyMismatch {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    })
}

#[cfg(feature = "pkcs11")]
fn in_token(
    files: &SignerFiles<'_>,
    uri: &str,
    pin: Option<&str>,
) -> Result<Arc<dyn Signer>, ServerError> {
    let name = files.name;
    let failed = |reason: String| ServerError::Token { name, reason };
    let uri: sztp_cms::Pkcs11Uri = uri
        .parse()
        .map_err(|error: sztp_cms::Pkcs11Error| failed(error.to_string()))?;
    let module = files
        .pkcs11_module
        .or_else(|| uri.module_path().map(Path::new))
        .ok_or_else(|| failed(format!("{name}.pkcs11_module is not set")))?;
    let module = sztp_cms::Pkcs11Module::load(module).map_err(|error| failed(error.to_string()))?;
    let signer = module
        .signer(&uri, pin)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(signer))
}

#[cfg(not(feature = "pkcs11"))]
fn in_token(
    files: &SignerFiles<'_>,
    _uri: &str,
    _pin: Option<&str>,
) -> Result<Arc<dyn Signer>, ServerError> {
    Err(ServerError::Token {
        name: files.name,
        reason: "this program was built without PKCS#11".to_owned(),
    })
}

const OWNER_PASSPHRASE: &str = "SZTP_OWNER_KEY_PASSPHRASE";
