//! What the device says of itself once it is bootstrapped (RFC 8572 §7.3): the keys of its SSH server,
//! and what certificates of its own lead to.

use std::path::{Path, PathBuf};

use sztp_cms::certs_only;
use sztp_core::rpc::SshHostKey;

use crate::failure::Failure;
use crate::files;

/// For the report bootstrap-complete.
#[derive(Debug, Clone, Default)]
pub(super) struct Reported {
    pub(super) ssh_host_keys: Vec<SshHostKey>,
    /// Certs-only CMS.
    pub(super) trust_anchor_certs: Vec<Vec<u8>>,
}

impl Reported {
    pub(super) fn read(keys: &[PathBuf], chains: &[PathBuf]) -> Result<Self, Failure> {
        let key = |path: &PathBuf| {
            let text = files::read_text(path)?;
            host_key(&text).ok_or_else(|| {
                let what = "no public key as OpenSSH writes it (*.pub)";
                Failure::new("agent.ssh-host-key", what).at(path)
            })
        };
        let chain = |path: &PathBuf| bag(path);
        Ok(Self {
            ssh_host_keys: keys.iter().map(key).collect::<Result<_, _>>()?,
            trust_anchor_certs: chains.iter().map(chain).collect::<Result<_, _>>()?,
        })
    }
}

fn bag(path: &Path) -> Result<Vec<u8>, Failure> {
    let chain = files::read_certificates(path)?;
    certs_only(&chain, &[]).map_err(|error| Failure::from(error).at(path))
}

/// `algorithm base64 comment`, where the key blob begins with the algorithm again (RFC 4253 §6.6).
fn host_key(text: &str) -> Option<SshHostKey> {
    let mut words = text.split_ascii_whitespace();
    let algorithm = words.next()?;
    let key_data = files::decode_base64(words.next()?.as_bytes())?;
    let length = u32::try_from(algorithm.len()).ok()?.to_be_bytes();
    key_data
        .strip_prefix(&length)
        .filter(|rest| rest.starts_with(algorithm.as_bytes()))?;
    Some(SshHostKey {
        algorithm: algorithm.to_owned(),
        key_data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_openssh_writes_them() {
        let data = "AAAAC3NzaC1lZDI1NTE5AAAAIFUkB4rBPPqVBWNHiKXDVVBzmzhqnRKk4LYBsZ9xE5tL";
        let key = host_key(&format!("ssh-ed25519 {data} root@edge-42\n")).unwrap();
        assert_eq!(key.algorithm, "ssh-ed25519");
        assert_eq!(key.key_data.len(), 51);
        for text in [
            String::new(),
            "ssh-ed25519".to_owned(),
            format!("ssh-rsa {data}"),
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA".to_owned(),
        ] {
            assert_eq!(host_key(&text), None, "{text}");
        }
    }
}
