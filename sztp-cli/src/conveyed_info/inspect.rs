//! `sztp conveyed-info inspect`: what a file of conveyed information is and what it says.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use sztp_cms::{CmsError, ContentInfo, Limits, SignedData, oids};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_voucher::yang::Encoding;

use super::show;
use crate::failure::Failure;
use crate::files;
use crate::message::{certificate_json, certificate_rows, content_type_name, signers};
use crate::report::{Report, Text};

/// `sztp conveyed-info inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A JSON or XML document, or a CMS message in DER, PEM or base64
    file: PathBuf,
}

impl Inspect {
    pub(super) fn run(self) -> Result<Report, Failure> {
        let octets = files::read_cms(&self.file)?;
        if let Some(encoding) = encoding_of(&octets) {
            let shown = Shown {
                kind: "document, not in CMS",
                ..Shown::default()
            };
            return self.report(&shown, &octets, encoding);
        }
        let message =
            ContentInfo::parse(&octets, &Limits::default()).map_err(|error| self.refused(error))?;
        match &message {
            ContentInfo::SignedData(signed) if signed.is_certs_only() => {
                Err(self.refused(CmsError::NoContent))
            }
            ContentInfo::SignedData(signed) => {
                let content = signed.unverified_content().unwrap_or_default();
                let shown = Shown {
                    kind: "signed CMS (the signature is not verified here)",
                    content_type: Some(content_type_name(&signed.content_type())),
                    signed: Some(signed),
                };
                self.report(
                    &shown,
                    content,
                    inner_encoding(&signed.content_type(), content),
                )
            }
            ContentInfo::Octets {
                content_type,
                content,
            } => {
                let shown = Shown {
                    kind: "unsigned CMS",
                    content_type: Some(content_type_name(content_type)),
                    signed: None,
                };
                self.report(&shown, content, inner_encoding(content_type, content))
            }
            // RFC 8572 §3.4 knows no other form of encryption.
            ContentInfo::EnvelopedData(enveloped) if enveloped.is_auth_enveloped_data() => {
                Err(self.refused(CmsError::NotSignedData(oids::ID_AUTH_ENVELOPED_DATA)))
            }
            ContentInfo::EnvelopedData(_) => {
                let kind = "encrypted CMS (EnvelopedData); its content cannot be shown";
                Ok(self.opaque(kind, "id-envelopedData"))
            }
            ContentInfo::Other(oid) => Err(self.refused(CmsError::NotSignedData(*oid))),
            _ => Ok(self.opaque("CMS of an unknown kind", "unknown")),
        }
    }

    fn report(
        &self,
        shown: &Shown<'_>,
        content: &[u8],
        encoding: Encoding,
    ) -> Result<Report, Failure> {
        let info = ConveyedInfo::decode(content, encoding)
            .map_err(|error| Failure::from(error).at(&self.file))?;
        let encoding = match encoding {
            Encoding::Json => "JSON",
            Encoding::Xml => "XML",
        };
        let mut text = Text::default();
        text.line(&format!("{}: {}", self.file.display(), shown.kind));
        text.optional_row("content type", shown.content_type.as_deref());
        text.row("encoding", encoding);
        let mut signer_names = Vec::new();
        let mut certificates = Vec::new();
        if let Some(signed) = shown.signed {
            signer_names = signers(signed);
            certificates.extend(signed.certificates().iter().map(certificate_json));
            for signer in &signer_names {
                text.row("signer", signer);
            }
            for certificate in signed.certificates() {
                certificate_rows(&mut text, certificate);
            }
        }
        show::rows(&mut text, &info);
        let data = json!({
            "file": self.file,
            "kind": shown.kind,
            "content-type": shown.content_type,
            "encoding": encoding,
            "signers": signer_names,
            "certificates": Value::from(certificates),
            "content": show::json(&info),
        });
        Ok(Report::new(text, data))
    }

    fn refused(&self, error: CmsError) -> Failure {
        Failure::from(error).at(&self.file)
    }

    fn opaque(&self, kind: &str, content_type: &str) -> Report {
        let mut text = Text::default();
        text.line(&format!("{}: {kind}", self.file.display()));
        text.row("content type", content_type);
        let data = json!({ "file": self.file, "kind": kind, "content-type": content_type });
        Report::new(text, data)
    }
}

/// What surrounds a document.
#[derive(Debug, Default)]
struct Shown<'a> {
    kind: &'static str,
    content_type: Option<String>,
    signed: Option<&'a SignedData>,
}

/// The encoding of a document by its first character; none if it is no document.
pub(super) fn encoding_of(octets: &[u8]) -> Option<Encoding> {
    let octets = octets.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(octets);
    match octets.trim_ascii_start().first() {
        Some(b'{') => Some(Encoding::Json),
        Some(b'<') => Some(Encoding::Xml),
        _ => None,
    }
}

fn inner_encoding(content_type: &impl ToString, content: &[u8]) -> Encoding {
    let content_type = content_type.to_string();
    if content_type == oids::SZTP_CONVEYED_INFO_XML.to_string() {
        Encoding::Xml
    } else if content_type == oids::SZTP_CONVEYED_INFO_JSON.to_string() {
        Encoding::Json
    } else {
        encoding_of(content).unwrap_or(Encoding::Json)
    }
}
