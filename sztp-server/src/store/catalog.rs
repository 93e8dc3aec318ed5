//! Profiles, configurations and scripts, and the variables that hold for all devices.
//!
//! They are few beside the devices and read with every answer, so they are read as a whole and
//! kept; [`StoredDevice::generation`](super::StoredDevice::generation) says when to read again.

use sztp_cms::UnixTime;

use super::StoreFuture;
use crate::model::{
    NewTemplate, Profile, ProfileChange, ProfileSpec, ProfileUsers, Template, TemplateKind,
    TemplateRef, Variables,
};

/// The part of a database with what devices have in common.
pub trait CatalogStore {
    /// Everything but the contents.
    fn catalog(&self) -> StoreFuture<'_, StoredCatalog>;

    /// The content of a version, by its id.
    fn template_content(&self, id: i64) -> StoreFuture<'_, Option<Vec<u8>>>;

    /// Adds and changes profiles, all or none.
    fn put_profiles(
        &self,
        profiles: Vec<(String, ProfileSpec)>,
        time: UnixTime,
        dry_run: bool,
    ) -> StoreFuture<'_, PutProfiles>;

    /// Removes a profile that no device needs.
    fn delete_profile(&self, name: &str) -> StoreFuture<'_, DeletedProfile>;

    /// Adds a version; none: the name is one of the other kind. The same content again is no new
    /// version, and then the answer is `false`.
    fn put_template(&self, template: NewTemplate) -> StoreFuture<'_, Option<(Template, bool)>>;

    /// Removes a configuration or script that no profile needs, with all its versions.
    fn delete_template(&self, name: &str) -> StoreFuture<'_, DeletedTemplate>;

    /// Replaces the variables that hold for all devices.
    fn put_variables(&self, variables: Variables) -> StoreFuture<'_, ()>;
}

/// All profiles and configurations, at one moment.
#[derive(Debug, Clone, Default)]
pub struct StoredCatalog {
    /// Grows with each change.
    pub generation: i64,
    /// For all devices.
    pub variables: Variables,
    /// In the order of their names.
    pub profiles: Vec<Profile>,
    /// In the order of their names.
    pub templates: Vec<Template>,
}

/// What came of writing profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutProfiles {
    /// They are written, or would be.
    Done(Vec<ProfileChange>),
    /// A device is being bootstrapped with one of them, and the change could be seen by it.
    InUse {
        /// Which one.
        profile: String,
        /// Those devices.
        users: ProfileUsers,
    },
    /// One of them names a configuration or script that is not there.
    TemplateMissing {
        /// Which one.
        profile: String,
        /// The name, and the version if that is what is missing.
        template: TemplateRef,
    },
    /// One of them names a script as its configuration, or the other way round.
    TemplateKind {
        /// Which one.
        profile: String,
        /// The name.
        template: TemplateRef,
        /// What it is.
        kind: TemplateKind,
    },
    /// One of them names an image that is not there.
    ImageMissing {
        /// The image's name.
        image: String,
    },
}

/// What came of deleting a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletedProfile {
    /// There is none of that name.
    Missing,
    /// Devices are assigned to it, or are being bootstrapped with it.
    InUse(ProfileUsers),
    /// It is gone.
    Deleted,
}

/// What came of deleting a configuration or script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletedTemplate {
    /// There is none of that name.
    Missing,
    /// A profile names it.
    InUse {
        /// One such profile.
        profile: String,
    },
    /// It is gone.
    Deleted,
}
