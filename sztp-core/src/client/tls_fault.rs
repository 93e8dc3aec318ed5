//! What rustls' errors mean for a device, and our own verifier's inside them.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, PeerIncompatible};
use sztp_cms::PathError;

use super::fault::explain;
use crate::device::Obstacle;

/// The obstacle, and in words; none: TLS is not what has failed.
pub(super) fn obstacle(error: &(dyn Error + 'static)) -> Option<(Obstacle, String)> {
    let error = rustls_error(error)?;
    Some(match error {
        rustls::Error::InvalidCertificate(why) => {
            let (obstacle, why) = certificate(why);
            (
                obstacle,
                format!("the server's certificate is refused: {why}"),
            )
        }
        other => (of_handshake(other), explain(other)),
    })
}

/// Along the causes of an error; an `io::Error` names what is inside it as no cause of its own.
fn rustls_error<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        error = match inside {
            Some(inner) => inner as &(dyn Error + 'static),
            None => error.source()?,
        };
    }
}

fn of_handshake(error: &rustls::Error) -> Obstacle {
    use rustls::Error as Tls;
    match error {
        Tls::AlertReceived(alert) => of_alert(*alert),
        Tls::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => Obstacle::TlsVersion,
        Tls::InvalidMessage(_)
        | Tls::InappropriateMessage { .. }
        | Tls::InappropriateHandshakeMessage { .. } => Obstacle::NotTls,
        Tls::NoCertificatesPresented => Obstacle::ServerCertificate,
        _ => Obstacle::Tls,
    }
}

/// RFC 8446 §6.2: the alerts that are about a certificate can only mean the device's.
fn of_alert(alert: AlertDescription) -> Obstacle {
    use AlertDescription as Alert;
    match alert {
        Alert::ProtocolVersion | Alert::InappropriateFallback => Obstacle::TlsVersion,
        Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::DecryptError
        | Alert::CertificateRequired => Obstacle::DeviceRefused,
        _ => Obstacle::Alert,
    }
}

fn certificate(error: &CertificateError) -> (Obstacle, String) {
    match error {
        CertificateError::Other(inner) => {
            let obstacle = match inner.0.downcast_ref::<PathError>() {
                Some(path) => Obstacle::ServerUntrusted(path.clone()),
                None => Obstacle::ServerCertificate,
            };
            (obstacle, inner.0.to_string())
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (Obstacle::ServerName, "it is for another host".to_owned())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (Obstacle::ServerValidity, "it has expired".to_owned())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (Obstacle::ServerValidity, "it is not valid yet".to_owned())
        }
        other => (Obstacle::ServerCertificate, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[test]
    fn errors_keep_their_types_through_every_wrapper() {
        let of = |error: rustls::Error| {
            let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
            obstacle(&wrapped).expect("it is TLS' error").0
        };
        let refused = |error| of(rustls::Error::InvalidCertificate(error));
        let path = PathError::NoTrustAnchor;
        let other = CertificateError::Other(OtherError(Arc::new(path.clone())));
        assert_eq!(refused(other), Obstacle::ServerUntrusted(path));
        for (error, expected) in [
            (CertificateError::Expired, Obstacle::ServerValidity),
            (CertificateError::NotValidYet, Obstacle::ServerValidity),
            (CertificateError::NotValidForName, Obstacle::ServerName),
            (CertificateError::BadSignature, Obstacle::ServerCertificate),
            (CertificateError::BadEncoding, Obstacle::ServerCertificate),
        ] {
            assert_eq!(refused(error), expected);
        }
        for (alert, expected) in [
            (AlertDescription::ProtocolVersion, Obstacle::TlsVersion),
            (AlertDescription::UnknownCA, Obstacle::DeviceRefused),
            (
                AlertDescription::CertificateRequired,
                Obstacle::DeviceRefused,
            ),
            (AlertDescription::HandshakeFailure, Obstacle::Alert),
            (AlertDescription::InternalError, Obstacle::Alert),
        ] {
            assert_eq!(of(rustls::Error::AlertReceived(alert)), expected);
        }
        let incompatible = PeerIncompatible::ServerDoesNotSupportTls12Or13;
        assert_eq!(of(incompatible.into()), Obstacle::TlsVersion);
        assert_eq!(
            of(PeerIncompatible::NoCipherSuitesInCommon.into()),
            Obstacle::Tls
        );
        assert!(obstacle(&io::Error::other("something else")).is_none());
    }
}
