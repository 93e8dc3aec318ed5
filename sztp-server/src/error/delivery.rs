//! What is wrong with deliveries and onboarding targets.

use thiserror::Error;

/// Why a device is not handed over, or a delivery is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// There is no such delivery, or it has arrived.
    #[error("there is no delivery {id}")]
    Missing {
        /// As asked for.
        id: i64,
    },
    /// It is being delivered at the moment.
    #[error("delivery {id} is being made")]
    UnderWay {
        /// Which one.
        id: i64,
    },
    /// A name that no onboarding target has.
    #[error("there is no onboarding target {name:?}")]
    TargetUnknown {
        /// As given, shortened.
        name: String,
    },
    /// Neither the device's profile nor the configuration says where it is onboarded.
    #[error("no onboarding target is set for the device")]
    NoTarget,
}

impl DeliveryError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "delivery.missing",
            Self::UnderWay { .. } => "delivery.under-way",
            Self::TargetUnknown { .. } => "delivery.target-unknown",
            Self::NoTarget => "delivery.no-target",
        }
    }

    /// What to do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TargetUnknown { .. } => {
                Some("GET /api/v1/delivery-targets lists them; they are set in the configuration")
            }
            Self::NoTarget => Some("name targets, or set onboarding.default or the profile's"),
            Self::UnderWay { .. } => Some("it ends in a moment; look at it then"),
            Self::Missing { .. } => None,
        }
    }
}
