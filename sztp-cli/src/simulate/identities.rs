//! The devices' IDevIDs, issued by the lab; kept in a cache directory if there is one, as keys take
//! time to make.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use sztp_cms::{Certificate, KeyType, SignatureAlgorithm, Signer as _, SigningKey, UnixTime};
use sztp_server::lab::{Identity, LabPki};

use super::fleet::Member;
use crate::failure::Failure;
use crate::files;

/// Identities of all members, in their order; `made` counts along. Blocks.
pub(super) fn identities(
    members: &[Member],
    lab: &LabPki,
    valid_from: UnixTime,
    cache: Option<&Path>,
    made: &AtomicUsize,
) -> Result<Vec<Identity>, Failure> {
    let maker = Maker {
        lab,
        valid_from,
        made,
    };
    let Some(directory) = cache else {
        return maker.make(members, HashMap::new());
    };
    files::make_directory(directory)?;
    let mut all = Vec::with_capacity(members.len());
    for some in members.chunk_by(|one, next| one.number / PER_FILE == next.number / PER_FILE) {
        let path = cache_file(directory, lab, &some[0]);
        let kept = if path.exists() {
            read(&path)?
        } else {
            HashMap::new()
        };
        let before = kept.len();
        let mut others = kept.clone();
        let found = maker.make(some, kept)?;
        let mut is_new = others.len() != before;
        for (member, identity) in some.iter().zip(&found) {
            let subject = member.subject_serial_number();
            let known = others.insert(subject, identity.clone());
            is_new |= known.is_none_or(|known| known.certificate != identity.certificate);
        }
        if is_new {
            write(&path, &others)?;
        }
        all.extend(found);
    }
    Ok(all)
}

struct Maker<'a> {
    lab: &'a LabPki,
    valid_from: UnixTime,
    made: &'a AtomicUsize,
}

impl Maker<'_> {
    /// On all processors; what is known already is taken.
    fn make(
        &self,
        members: &[Member],
        kept: HashMap<String, Identity>,
    ) -> Result<Vec<Identity>, Failure> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = members.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = members
                .chunks(share)
                .map(|some| {
                    let kept = &kept;
                    let one = |member| self.one(member, kept);
                    scope.spawn(move || some.iter().map(one).collect::<Result<Vec<_>, _>>())
                })
                .collect();
            let mut all = Vec::with_capacity(members.len());
            for worker in workers {
                let made = worker
                    .join()
                    .map_err(|_| Failure::new("simulate.keys", "a thread has ended badly"))?;
                all.extend(made?);
            }
            Ok(all)
        })
    }

    fn one(&self, member: &Member, kept: &HashMap<String, Identity>) -> Result<Identity, Failure> {
        let subject = member.subject_serial_number();
        let identity = match kept.get(&subject) {
            Some(identity) if is_of(&identity.key, member.key_type) => identity.clone(),
            _ => self
                .lab
                .issue_idevid(&subject, member.key_type, self.valid_from)?,
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(identity)
    }
}

fn is_of(key: &SigningKey, key_type: KeyType) -> bool {
    let elliptic = matches!(key.algorithm(), SignatureAlgorithm::Ecdsa(_));
    elliptic == (key_type == KeyType::EcP256)
}

/// The authority is in the name: another lab's devices are others.
fn cache_file(directory: &Path, lab: &LabPki, member: &Member) -> PathBuf {
    let authority: String = lab
        .idevid_ca
        .certificate
        .sha256_fingerprint()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    let prefix = member
        .serial_number
        .trim_end_matches(|c: char| c.is_ascii_digit());
    let thousand = member.number / PER_FILE;
    directory.join(format!("idevids-{authority}-{prefix}{thousand}.pem"))
}

fn read(path: &Path) -> Result<HashMap<String, Identity>, Failure> {
    let text = files::read_text(path)?;
    let damaged = || {
        Failure::new("simulate.cache", "not a cache of IDevIDs, or damaged")
            .at(path)
            .hint("remove the file; what is in it is made again")
    };
    let mut found = HashMap::new();
    for entry in text.split(KEY_BEGINS).skip(1) {
        let (key, certificate) = entry
            .find(CERTIFICATE_BEGINS)
            .map(|at| entry.split_at(at))
            .ok_or_else(damaged)?;
        let key = SigningKey::from_pem_or_der(format!("{KEY_BEGINS}{key}").as_bytes())
            .map_err(|_| damaged())?;
        let certificate =
            Certificate::from_pem_or_der(certificate.as_bytes()).map_err(|_| damaged())?;
        let subject = certificate.serial_number_attribute().ok_or_else(damaged)?;
        if certificate.spki_der() != key.spki_der() {
            return Err(damaged());
        }
        found.insert(subject, Identity { certificate, key });
    }
    Ok(found)
}

fn write(path: &Path, identities: &HashMap<String, Identity>) -> Result<(), Failure> {
    let mut sorted: Vec<_> = identities.iter().collect();
    sorted.sort_by_key(|(subject, _)| *subject);
    let mut text = String::new();
    for (_, identity) in sorted {
        text.push_str(&identity.key.to_pkcs8_pem()?);
        text.push_str(&identity.certificate.to_pem());
    }
    files::write_private(path, text.as_bytes())
}

const KEY_BEGINS: &str = "-----BEGIN PRIVATE KEY-----";
const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";
/// Devices in one file of the cache, so that none is too large to be read.
const PER_FILE: usize = 1000;
