//! `sztp conveyed-info sign`: the owner's signature (RFC 8572 §3.1).

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sztp_cms::{KeyUsage, SignedDataBuilder, oids};
use sztp_core::artifacts::content_type;
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_voucher::yang::Encoding;

use super::inspect::encoding_of;
use super::show;
use crate::arguments::{EContentType, Passphrase};
use crate::failure::Failure;
use crate::files;
use crate::report::{Report, Text};

/// `sztp conveyed-info sign`.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// Conveyed information in JSON or XML
    file: PathBuf,
    /// The owner certificate
    #[arg(long, value_name = "F")]
    owner_cert: PathBuf,
    /// The owner certificate's private key
    #[arg(long, value_name = "F")]
    owner_key: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Put the owner certificate and these certificates into the message too; repeatable
    #[arg(long, value_name = "F")]
    chain: Vec<PathBuf>,
    /// Encrypt for this certificate's holder; not supported in this version
    #[arg(long, value_name = "F")]
    encrypt_to: Option<PathBuf>,
    /// The content type of the signed message
    #[arg(long, value_enum, default_value_t)]
    econtent_type: EContentType,
    /// Where to write the signed message (DER)
    #[arg(long, value_name = "F")]
    out: PathBuf,
}

impl Sign {
    pub(super) fn run(self) -> Result<Report, Failure> {
        if self.encrypt_to.is_some() {
            return Err(Failure::usage(
                "usage.encryption-unsupported",
                "artifacts cannot be encrypted in this version",
            )
            .hint("leave --encrypt-to out; TLS still protects the artifacts on their way"));
        }
        let document = files::read(&self.file)?;
        let encoding = encoding_of(&document).ok_or_else(|| {
            Failure::new(
                "conveyed-information.not-a-document",
                "neither JSON nor XML",
            )
            .at(&self.file)
            .hint("`sztp conveyed-info inspect` says what the file is")
        })?;
        let info = ConveyedInfo::decode(&document, encoding)
            .map_err(|error| Failure::from(error).at(&self.file))?;
        let (owner, _) = files::read_certificate(&self.owner_cert)?;
        let key = self.passphrase.read_key(&self.owner_key)?;
        let content_type = match self.econtent_type {
            EContentType::Sztp => content_type(encoding),
            EContentType::IdData => oids::ID_DATA,
        };
        let mut builder = SignedDataBuilder::new(content_type, document);
        if !self.chain.is_empty() {
            let chain = files::read_all_certificates(&self.chain)?;
            builder = builder.certificates(std::iter::once(owner.clone()).chain(chain));
        }
        let signed = builder
            .sign(&key, &owner)
            .map_err(|error| Failure::from(error).at(&self.owner_key))?;
        files::write(&self.out, &signed)?;

        let encoding = match encoding {
            Encoding::Json => "JSON",
            Encoding::Xml => "XML",
        };
        let mut text = Text::default();
        show::rows(&mut text, &info);
        text.row("encoding", encoding);
        text.row("signed by", &owner.subject());
        text.row("written to", &self.out.display().to_string());
        let data = json!({ "file": self.out, "encoding": encoding, "signer": owner.subject() });
        let report = Report::new(text, data);
        if owner.key_usage().is_none_or(KeyUsage::digital_signature) {
            return Ok(report);
        }
        Ok(report.note("devices refuse this owner certificate: keyUsage lacks digitalSignature"))
    }
}
