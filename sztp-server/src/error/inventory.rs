//! Why profiles, configurations, kept vouchers and rows of devices are refused.

use thiserror::Error;

use crate::model::{ProfileUsers, TemplateKind};

/// What is wrong with something that an operator keeps here beside single devices.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// A serial number leads to another device.
    #[error("serial number {alias:?} is one of device {device:?}")]
    SerialNumberTaken {
        /// The serial number.
        alias: String,
        /// The device that has it.
        device: String,
    },
    /// A member of a device that cannot be kept.
    #[error("{member}: {problem}")]
    Member {
        /// Which one.
        member: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// What the device's templates need and nothing provides.
    #[error("no value for {}", names.join(", "))]
    VariablesMissing {
        /// The variables.
        names: Vec<String>,
    },
    /// There is no such profile.
    #[error("there is no profile {name:?}")]
    ProfileMissing {
        /// As asked for.
        name: String,
    },
    /// Devices need the profile as it is.
    #[error("profile {name:?} is in use by {} ({})", devices(users), users.serial_numbers.join(", "))]
    ProfileInUse {
        /// Which one.
        name: String,
        /// The devices.
        users: ProfileUsers,
        /// Whether they are in the middle of a bootstrap.
        in_progress: bool,
    },
    /// A profile that cannot work.
    #[error("profile {name:?}: {problem}")]
    ProfileValue {
        /// Which one.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A profile needs the image.
    #[error("the image {name:?} is in use by profile {profile:?}")]
    ImageInUse {
        /// The image.
        name: String,
        /// One of the profiles.
        profile: String,
    },
    /// Not a name for a profile, configuration or script.
    #[error("{name:?} is not a name of 1 to 128 letters, digits and `.`, `_`, `-`, `+`")]
    Name {
        /// As given, shortened.
        name: String,
    },
    /// There is no such configuration or script, or not that version of it.
    #[error("there is no configuration or script {name:?}")]
    TemplateMissing {
        /// As asked for.
        name: String,
    },
    /// A profile needs it.
    #[error("{name:?} is in use by profile {profile:?}")]
    TemplateInUse {
        /// The configuration or script.
        name: String,
        /// One of the profiles.
        profile: String,
    },
    /// A script where a configuration is wanted, or the other way round.
    #[error("{name:?} is a {}", kind.as_str())]
    TemplateIsOther {
        /// Its name.
        name: String,
        /// What it is.
        kind: TemplateKind,
    },
    /// Not a template.
    #[error("{name}: {problem}")]
    TemplateSyntax {
        /// Which one.
        name: String,
        /// Line and reason.
        problem: String,
    },
    /// A template looks up a variable that has no value.
    #[error("{template}, line {line}: the variable `{variable}` has no value")]
    UndefinedVariable {
        /// Which template.
        template: String,
        /// Where in it, from 1; 0: not known.
        line: usize,
        /// As written there.
        variable: String,
    },
    /// A template that takes too long or gives too much.
    #[error("{template}: {problem}")]
    TemplateCost {
        /// Which template.
        template: String,
        /// Which limit.
        problem: String,
    },
    /// A template that fails otherwise.
    #[error("{template}: {problem}")]
    TemplateFailed {
        /// Which template.
        template: String,
        /// Line and reason.
        problem: String,
    },
    /// Larger than may be kept.
    #[error("{what} is larger than {limit} octets")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// No voucher is kept for a serial number.
    #[error("no voucher is kept for serial number {serial_number:?}")]
    VoucherMissing {
        /// As asked for.
        serial_number: String,
    },
    /// A document of rows or profiles that cannot be read from some point on.
    #[error("{problem}")]
    Format {
        /// Where and why.
        problem: String,
    },
    /// A column that does not exist.
    #[error("unknown column {column:?}")]
    Column {
        /// As written.
        column: String,
    },
    /// A row that says nothing sensible.
    #[error("{problem}")]
    Row {
        /// What is wrong with it.
        problem: String,
    },
    /// A row for a device that an earlier row of the same document is for.
    #[error("row {earlier} has the serial number {serial_number:?} too")]
    Duplicate {
        /// The serial number.
        serial_number: String,
        /// The row before.
        earlier: u64,
    },
    /// An upload of several files that cannot be taken apart.
    #[error("the archive cannot be read: {problem}")]
    Archive {
        /// Why.
        problem: String,
    },
}

impl InventoryError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SerialNumberTaken { .. } => "device.serial-number-taken",
            Self::Member { .. } => "device.value",
            Self::VariablesMissing { .. } => "device.variables-missing",
            Self::ProfileMissing { .. } => "profile.missing",
            Self::ProfileInUse { .. } => "profile.in-use",
            Self::ProfileValue { .. } => "profile.value",
            Self::ImageInUse { .. } => "image.in-use",
            Self::Name { .. } => "configuration.name",
            Self::TemplateMissing { .. } => "configuration.missing",
            Self::TemplateInUse { .. } => "configuration.in-use",
            Self::TemplateIsOther { .. } => "configuration.kind",
            Self::TemplateSyntax { .. } => "configuration.syntax",
            Self::UndefinedVariable { .. } => "configuration.undefined-variable",
            Self::TemplateCost { .. } => "configuration.cost",
            Self::TemplateFailed { .. } => "configuration.render",
            Self::TooLarge { .. } => "upload.too-large",
            Self::VoucherMissing { .. } => "upload.voucher-missing",
            Self::Format { .. } => "import.format",
            Self::Column { .. } => "import.column",
            Self::Row { .. } => "import.row",
            Self::Duplicate { .. } => "import.duplicate",
            Self::Archive { .. } => "upload.archive",
        }
    }

    /// What to do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::ProfileInUse {
                in_progress: true, ..
            } => "wait until they are done or reset them; or make another profile",
            Self::ProfileInUse { .. } => "assign the devices to another profile, or to none",
            Self::TemplateInUse { .. } | Self::ImageInUse { .. } => {
                "change the profile first; new versions of a configuration need no deletion"
            }
            Self::TemplateMissing { .. } => {
                "upload it first with PUT /api/v1/configurations/NAME?kind=KIND"
            }
            Self::TemplateSyntax { .. } => {
                "what is no template is uploaded with syntax=verbatim; single passages can be put \
                 between {% raw %} and {% endraw %}"
            }
            Self::UndefinedVariable { .. } | Self::VariablesMissing { .. } => {
                "set it in `variables` of the device, of its profile, or of all"
            }
            Self::Column { .. } => {
                "GET /api/v1/devices/import-template answers the columns that there are"
            }
            _ => return None,
        })
    }
}

fn devices(users: &ProfileUsers) -> String {
    match users.count {
        1 => "one device".to_owned(),
        count => format!("{count} devices"),
    }
}
