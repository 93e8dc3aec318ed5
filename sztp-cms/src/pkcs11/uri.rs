//! The `pkcs11:` URI (RFC 7512).

use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use super::Pkcs11Error;

/// Which private key in which token, and how to get at it (RFC 7512 §2).
///
/// It may hold a PIN: `Debug` and `Display` do not show it.
///
/// ```
/// use sztp_cms::Pkcs11Uri;
///
/// let uri: Pkcs11Uri = "pkcs11:token=Owner%20HSM;object=owner-2026;type=private\
///                       ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/pin".parse()?;
/// assert_eq!(uri.token(), Some("Owner HSM"));
/// # Ok::<(), sztp_cms::Pkcs11Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    pub(super) token: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) slot_id: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) pin: Option<PinFrom>,
    pub(super) module_path: Option<String>,
}

/// Where the URI says that the PIN is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum PinFrom {
    /// pin-value.
    Value(Zeroizing<String>),
    /// pin-source: the path of a file.
    File(String),
}

impl Pkcs11Uri {
    /// The label of the token (CK_TOKEN_INFO).
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The label of the key (CKA_LABEL).
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The identifier of the key (CKA_ID).
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// The file of the PKCS#11 module.
    pub fn module_path(&self) -> Option<&str> {
        self.module_path.as_deref()
    }

    /// Takes one attribute of the path. What it does not know narrows down the choice in a way that
    /// cannot be followed, so it is refused.
    fn path_attribute(&mut self, name: &str, value: &str) -> Result<(), Pkcs11Error> {
        match name {
            "token" => once(&mut self.token, text(value)?),
            "manufacturer" => once(&mut self.manufacturer, text(value)?),
            "model" => once(&mut self.model, text(value)?),
            "serial" => once(&mut self.serial, text(value)?),
            "object" => once(&mut self.object, text(value)?),
            "id" => once(&mut self.id, octets(value)?),
            "slot-id" => {
                let number = value.parse().map_err(|_| bad("slot-id is no number"))?;
                once(&mut self.slot_id, number)
            }
            "type" if value == "private" => Ok(()),
            "type" => Err(bad("type is not private")),
            _ => Err(bad("a path attribute that is not known")),
        }
    }

    /// Takes one attribute of the query. Those that are not known are for others (RFC 7512 §2.4).
    fn query_attribute(&mut self, name: &str, value: &str) -> Result<(), Pkcs11Error> {
        match name {
            "pin-value" => once(&mut self.pin, PinFrom::Value(Zeroizing::new(text(value)?)))
                .map_err(|_| bad("more than one pin-value or pin-source")),
            "pin-source" => {
                let source = text(value)?;
                let path = source.strip_prefix("file:").unwrap_or(&source);
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.starts_with('/') {
                    return Err(bad("pin-source is not the absolute path of a file"));
                }
                once(&mut self.pin, PinFrom::File(path.to_owned()))
                    .map_err(|_| bad("more than one pin-value or pin-source"))
            }
            "module-path" => once(&mut self.module_path, text(value)?),
            _ => Ok(()),
        }
    }
}

impl FromStr for Pkcs11Uri {
    type Err = Pkcs11Error;

    fn from_str(uri: &str) -> Result<Self, Pkcs11Error> {
        if uri.len() > MAX_URI_BYTES {
            return Err(bad("too long"));
        }
        let scheme = uri.get(..SCHEME.len());
        if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
            return Err(bad("it does not start with pkcs11:"));
        }
        let rest = &uri[SCHEME.len()..];
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parsed = Self::default();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute
                .split_once('=')
                .ok_or(bad("an attribute without ="))?;
            parsed.path_attribute(name, value)?;
        }
        for attribute in query.split('&').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute
                .split_once('=')
                .ok_or(bad("an attribute without ="))?;
            parsed.query_attribute(name, value)?;
        }
        Ok(parsed)
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("serial", &self.serial),
            ("object", &self.object),
        ];
        f.write_str(SCHEME)?;
        for (name, value) in texts {
            if let Some(value) = value {
                write!(f, "{name}={};", encoded(value.as_bytes()))?;
            }
        }
        if let Some(id) = &self.id {
            write!(f, "id={};", encoded(id))?;
        }
        if let Some(slot) = self.slot_id {
            write!(f, "slot-id={slot};")?;
        }
        f.write_str("type=private")
    }
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Uri({self})")
    }
}

/// RFC 7512 §2.3: no attribute may occur twice.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Pkcs11Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad("an attribute occurs twice")),
    }
}

fn text(value: &str) -> Result<String, Pkcs11Error> {
    String::from_utf8(octets(value)?).map_err(|_| bad("a value that is not UTF-8"))
}

/// Undoes percent-encoding (RFC 3986 §2.1).
fn octets(value: &str) -> Result<Vec<u8>, Pkcs11Error> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return Err(bad("broken percent-encoding"));
        };
        let digit = |octet: &u8| char::from(*octet).to_digit(16);
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err(bad("broken percent-encoding"));
        };
        decoded.extend(u8::try_from(high * 16 + low));
        rest = tail;
    }
    Ok(decoded)
}

fn encoded(value: &[u8]) -> String {
    let mut out = String::new();
    for octet in value {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(octet) {
            out.push(char::from(*octet));
        } else {
            out.push('%');
            for digit in [octet >> 4, octet & 15] {
                out.extend(char::from_digit(digit.into(), 16).map(|c| c.to_ascii_uppercase()));
            }
        }
    }
    out
}

const fn bad(reason: &'static str) -> Pkcs11Error {
    Pkcs11Error::Uri { reason }
}

const SCHEME: &str = "pkcs11:";
const MAX_URI_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_attributes() {
        let uri: Pkcs11Uri = "pkcs11:token=My%20token;manufacturer=Snake%20Oil;model=1.0;\
                              serial=4711;slot-id=3;object=owner;id=%00%ff%2A;type=private\
                              ?pin-source=file:///run/secrets/pin&module-path=/lib/p11.so&x-y=z"
            .parse()
            .unwrap();
        assert_eq!(uri.token(), Some("My token"));
        assert_eq!(uri.object(), Some("owner"));
        assert_eq!(uri.id(), Some(&[0, 0xff, b'*'][..]));
        assert_eq!(uri.slot_id, Some(3));
        assert_eq!(uri.module_path(), Some("/lib/p11.so"));
        assert!(matches!(&uri.pin, Some(PinFrom::File(path)) if path == "/run/secrets/pin"));
        let again: Pkcs11Uri = uri.to_string().parse().unwrap();
        assert_eq!(again.serial.as_deref(), Some("4711"));
        assert_eq!(again.id(), uri.id());
    }

    #[test]
    fn a_pin_is_not_printed() {
        let uri: Pkcs11Uri = "PKCS11:token=t?pin-value=1234%205".parse().unwrap();
        assert!(matches!(&uri.pin, Some(PinFrom::Value(pin)) if pin.as_str() == "1234 5"));
        assert!(!format!("{uri:?} {uri}").contains("1234"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for uri in [
            "",
            "pkcs12:token=a",
            "pkcs11:token",
            "pkcs11:token=a;token=b",
            "pkcs11:token=%4",
            "pkcs11:token=%zz",
            "pkcs11:token=%+1",
            "pkcs11:token=%ff",
            "pkcs11:colour=blue",
            "pkcs11:type=cert",
            "pkcs11:slot-id=x",
            "pkcs11:?pin-value=1&pin-source=/a",
            "pkcs11:?pin-source=|command",
            "pkcs11:?pin-source=relative",
        ] {
            assert!(
                matches!(uri.parse::<Pkcs11Uri>(), Err(Pkcs11Error::Uri { .. })),
                "{uri}"
            );
        }
        assert!("pkcs11:".parse::<Pkcs11Uri>().is_ok());
    }
}
