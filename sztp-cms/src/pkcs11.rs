//! Signing and decrypting with keys in PKCS#11 tokens: HSMs, smart cards, TPMs with a PKCS#11 layer.
//!
//! The one part of this crate that does I/O: it loads the token's module and talks to it, and reads
//! the PIN from a file if the URI says so. Digests are made here and only the signature itself in
//! the token, as that is what every token can do.

mod decryption;
mod error;
mod signer;
mod uri;

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::UserType;
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

pub use self::error::Pkcs11Error;
pub use self::signer::Pkcs11Signer;
use self::uri::PinFrom;
pub use self::uri::Pkcs11Uri;

/// A PKCS#11 module, loaded and initialised. Clones are the same module.
#[derive(Debug, Clone)]
pub struct Pkcs11Module(Pkcs11);

impl Pkcs11Module {
    /// Loads a module from its file and initialises it, unless this process has done so already.
    ///
    /// The module is foreign code and runs in this process: the path must be one to trust.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Pkcs11Error> {
        let failed = |error: Error| Pkcs11Error::Module {
            reason: error.to_string(),
        };
        let module = Pkcs11::new(path).map_err(failed)?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(Self(module)),
            Err(error) => Err(failed(error)),
        }
    }

    /// Logs in to the token that the URI names and finds its private key.
    ///
    /// The PIN is `pin`, or what the URI's pin-source or pin-value says. The URI's module-path is
    /// not looked at. The signer keeps its session, and thus the login, while it lives.
    pub fn signer(&self, uri: &Pkcs11Uri, pin: Option<&str>) -> Result<Pkcs11Signer, Pkcs11Error> {
        let (slot, token) = self.token(uri)?;
        let session = self.0.open_ro_session(slot).map_err(token_error)?;
        match find_pin(uri, pin)? {
            Some(pin) => {
                let pin = AuthPin::from(pin.as_str());
                match session.login(UserType::User, Some(&pin)) {
                    // Logins are the process's, not the session's.
                    Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                    Err(error) => return Err(token_error(error)),
                }
            }
            // A reader with its own keys asks for the PIN by itself.
            None if token.protected_authentication_path() => session
                .login(UserType::User, None)
                .or_else(|error| match error {
                    Error::Pkcs11(RvError::UserAlreadyLoggedIn, _) => Ok(()),
                    other => Err(token_error(other)),
                })?,
            None if token.login_required() => return Err(Pkcs11Error::PinRequired),
            None => {}
        }
        Pkcs11Signer::find(session, uri, |mechanism| {
            let found = self.0.get_mechanism_info(slot, mechanism);
            found.is_ok_and(|info| info.decrypt() || info.derive())
        })
    }

    fn token(&self, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), Pkcs11Error> {
        let mut found = Vec::new();
        for slot in self.0.get_slots_with_token().map_err(token_error)? {
            // A token that is being taken out says nothing of itself.
            let Ok(token) = self.0.get_token_info(slot) else {
                continue;
            };
            if token.token_initialized() && fits(uri, slot, &token) {
                found.push((slot, token));
            }
        }
        match found.len() {
            0 => Err(Pkcs11Error::NoToken),
            1 => Ok(found.remove(0)),
            count => Err(Pkcs11Error::Ambiguous {
                what: "tokens",
                count,
            }),
        }
    }
}

/// RFC 7512 §2.5: what the URI does not say, fits.
fn fits(uri: &Pkcs11Uri, slot: Slot, token: &TokenInfo) -> bool {
    [
        (&uri.token, token.label()),
        (&uri.manufacturer, token.manufacturer_id()),
        (&uri.model, token.model()),
        (&uri.serial, token.serial_number()),
    ]
    .into_iter()
    .all(|(wanted, found)| wanted.as_ref().is_none_or(|wanted| wanted == found))
        && uri.slot_id.is_none_or(|wanted| wanted == slot.id())
}

fn find_pin(
    uri: &Pkcs11Uri,
    given: Option<&str>,
) -> Result<Option<Zeroizing<String>>, Pkcs11Error> {
    if let Some(pin) = given {
        return Ok(Some(Zeroizing::new(pin.to_owned())));
    }
    match &uri.pin {
        None => Ok(None),
        Some(PinFrom::Value(pin)) => Ok(Some(pin.clone())),
        Some(PinFrom::File(path)) => read_pin(path).map(Some),
    }
}

/// The first line of the file.
fn read_pin(path: &str) -> Result<Zeroizing<String>, Pkcs11Error> {
    use std::io::Read;
    let bad = |reason| Pkcs11Error::PinSource { reason };
    let file = std::fs::File::open(path).map_err(|_| bad("the file cannot be opened"))?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_PIN_BYTES));
    file.take(MAX_PIN_BYTES as u64)
        .read_to_string(&mut text)
        .map_err(|_| bad("the file cannot be read as text"))?;
    match text.lines().next() {
        Some(pin) if !pin.is_empty() => Ok(Zeroizing::new(pin.to_owned())),
        _ => Err(bad("the file is empty")),
    }
}

fn token_error(error: Error) -> Pkcs11Error {
    match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            Pkcs11Error::PinIncorrect
        }
        Error::Pkcs11(RvError::PinLocked, _) => Pkcs11Error::PinLocked,
        other => Pkcs11Error::Token {
            reason: other.to_string(),
        },
    }
}

const MAX_PIN_BYTES: usize = 1024;
