//! Profiles as operators see them: declared, explained, and kept from harm to devices under way.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::catalog::{Catalog, facts};
use super::templates::{self, Compiled, check_name, check_variables, page_of};
use super::{Service, ldevid, now, render};
use crate::model::{
    AnswerSource, Blob, Device, Explanation, Listed, OnboardingSpec, Page, Profile, ProfileChange,
    ProfileSpec, Reported, Variables,
};
use crate::store::{DeletedProfile, PutProfiles, audit};
use crate::{InventoryError, ServiceError};

/// A device's answer by its profile, with what its history says of it.
pub(super) struct FromProfile {
    pub(super) onboarding: OnboardingSpec,
    pub(super) versions: String,
}

impl Service {
    /// Profiles in the order of their names.
    pub async fn profiles(&self, page: Page) -> Result<Listed<Profile>, ServiceError> {
        let catalog = self.newest_catalog().await?;
        let profiles = catalog.profiles.values().map(|profile| &**profile);
        Ok(page_of(profiles, &page, |profile| &profile.name))
    }

    /// One profile.
    pub async fn profile(&self, name: &str) -> Result<Profile, ServiceError> {
        let catalog = self.newest_catalog().await?;
        Ok((**catalog.profile(name)?).clone())
    }

    /// Adds and changes profiles, all or none, or says what that would change.
    ///
    /// A profile cannot be changed in a way that devices see while one of them is being
    /// bootstrapped with it.
    pub async fn apply_profiles(
        &self,
        profiles: Vec<(String, ProfileSpec)>,
        dry_run: bool,
    ) -> Result<Vec<ProfileChange>, ServiceError> {
        for (name, spec) in &profiles {
            self.check_profile(name, spec).await?;
        }
        let mut names: Vec<&String> = profiles.iter().map(|(name, _)| name).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(refused(twice[0], "it is declared twice"));
        }
        let store = &self.0.store;
        let put = async { store.put_profiles(profiles, now(), dry_run).await };
        let put = if dry_run {
            audit::silently(put).await?
        } else {
            put.await?
        };
        match put {
            PutProfiles::Done(changes) => Ok(changes),
            PutProfiles::InUse { profile, users } => Err(InventoryError::ProfileInUse {
                name: profile,
                users,
                in_progress: true,
            }
            .into()),
            PutProfiles::TemplateMissing { template, .. } => {
                Err(templates::missing(&template.to_string()).into())
            }
            PutProfiles::TemplateKind { template, kind, .. } => {
                let name = template.name;
                Err(InventoryError::TemplateIsOther { name, kind }.into())
            }
            PutProfiles::ImageMissing { image } => Err(ServiceError::ImageMissing { name: image }),
        }
    }

    /// Deletes a profile that no device is assigned to and none is being bootstrapped with.
    pub async fn delete_profile(&self, name: &str) -> Result<(), ServiceError> {
        let name = name.to_owned();
        match self.0.store.delete_profile(&name).await? {
            DeletedProfile::Missing => Err(InventoryError::ProfileMissing { name }.into()),
            DeletedProfile::InUse(users) => Err(InventoryError::ProfileInUse {
                name,
                users,
                in_progress: false,
            }
            .into()),
            DeletedProfile::Deleted => Ok(()),
        }
    }

    /// Which profile a device would be given, and why. Members of `reported` stand for what the
    /// device may say when it asks.
    pub async fn explain(
        &self,
        serial_number: &str,
        reported: Reported,
    ) -> Result<Explanation, ServiceError> {
        let device = self.device(serial_number).await?;
        let catalog = self.newest_catalog().await?;
        let known = device.reported.clone();
        let reported = Reported {
            vendor: reported.vendor.or(known.vendor),
            hw_model: reported.hw_model.or(known.hw_model),
            os_name: reported.os_name.or(known.os_name),
            os_version: reported.os_version.or(known.os_version),
        };
        let facts = facts(&device, &reported);
        let choice = catalog.choose(&device, &reported);
        let profile = choice.profile.as_deref().map(|profile| &profile.name);
        let why = match (choice.source, profile) {
            (AnswerSource::Device, _) => format!(
                "the device has an answer of its own ({}), which wins over any profile",
                device.spec.answer.kind()
            ),
            (AnswerSource::Assigned, Some(name)) => {
                format!("the device is assigned to profile {name:?}, which wins over any rule")
            }
            (AnswerSource::Rule, Some(name)) => {
                format!("profile {name:?} is the first whose rule holds")
            }
            _ => "it is assigned to no profile, and no profile's rule holds".to_owned(),
        };
        Ok(Explanation {
            serial_number: device.serial_number.clone(),
            source: choice.source,
            profile: profile.cloned(),
            why,
            considered: catalog.consider(&facts),
            facts,
            missing_variables: self.incomplete(&catalog, &device, &reported).await?,
        })
    }

    /// What the templates that a device would be given need, and nothing provides.
    pub(super) async fn incomplete(
        &self,
        catalog: &Catalog,
        device: &Device,
        reported: &Reported,
    ) -> Result<Vec<String>, ServiceError> {
        let choice = catalog.choose(device, reported);
        let (AnswerSource::Assigned | AnswerSource::Rule, Some(profile)) =
            (choice.source, &choice.profile)
        else {
            return Ok(Vec::new());
        };
        if profile.spec.templates().next().is_none() {
            return Ok(Vec::new());
        }
        let of_profile = Some(&profile.spec.variables);
        let mut context = templates::context(device, &catalog.variables, of_profile);
        self.add_crosswork(&mut context, device, true);
        if self.issues_ldevids(profile) {
            let (name, value) = ldevid::stand_in();
            context.entry(name).or_insert(value);
        }
        self.missing_variables(catalog, profile.spec.templates(), &context)
            .await
    }

    /// Onboarding information by a profile, its templates filled in for a device. `issued` are
    /// variables that come with the request, and win over all others.
    pub(super) async fn by_profile(
        &self,
        catalog: &Catalog,
        profile: &Profile,
        device: &Device,
        issued: &Variables,
    ) -> Result<FromProfile, ServiceError> {
        let spec = &profile.spec;
        let mut onboarding = OnboardingSpec {
            boot_image: spec.boot_image.clone(),
            configuration_handling: spec.configuration_handling,
            ..OnboardingSpec::default()
        };
        let mut versions = format!("profile {}", profile.name);
        let mut context: Option<Map<String, Value>> = None;
        for (what, reference, place) in [
            (
                "pre-configuration-script",
                &spec.pre_configuration_script,
                &mut onboarding.pre_configuration_script,
            ),
            (
                "configuration",
                &spec.configuration,
                &mut onboarding.configuration,
            ),
            (
                "post-configuration-script",
                &spec.post_configuration_script,
                &mut onboarding.post_configuration_script,
            ),
        ] {
            let Some(reference) = reference else { continue };
            let context = context.get_or_insert_with(|| {
                let of_profile = Some(&spec.variables);
                let mut context = templates::context(device, &catalog.variables, of_profile);
                self.add_crosswork(&mut context, device, true);
                context.extend(issued.clone());
                context
            });
            let (version, octets) = self.render_one(catalog, reference, context).await?;
            let _ = write!(versions, ", {what} {}@{version}", reference.name);
            *place = Some(Blob(octets));
        }
        if let Some(image) = spec.image() {
            let _ = write!(versions, ", image {image}");
        }
        Ok(FromProfile {
            onboarding,
            versions,
        })
    }

    async fn check_profile(&self, name: &str, spec: &ProfileSpec) -> Result<(), ServiceError> {
        check_name(name)?;
        self.check_dialect(spec.dialect.as_deref())?;
        check_variables("variables", &spec.variables)?;
        for target in spec.onboarding.iter().flatten() {
            self.check_target(target)?;
        }
        let is_onboarding = spec.boot_image.is_some()
            || spec.configuration_handling.is_some()
            || spec.templates().next().is_some();
        if spec.redirect.is_some() && is_onboarding {
            return Err(refused(
                name,
                "redirect information has no image, configuration or script",
            ));
        }
        if spec.configuration.is_some() != spec.configuration_handling.is_some() {
            return Err(refused(
                name,
                "configuration and configuration_handling go together (RFC 8572 section 6.3)",
            ));
        }
        if let Some(ldevid) = &spec.ldevid {
            if ldevid.validity_days == Some(0) {
                return Err(refused(name, "ldevid.validity_days must not be 0"));
            }
            if ldevid.dns_names.len() > MAX_LDEVID_NAMES {
                return Err(refused(name, "ldevid.dns_names: at most 16"));
            }
            for template in &ldevid.dns_names {
                Compiled::jinja("ldevid.dns_names", template.clone().into_bytes())?;
            }
            if ldevid.enabled == Some(true) && !self.can_issue_ldevids() {
                return Err(refused(
                    name,
                    "ldevid.enabled: none of ldevid.ca, ldevid.est and ldevid.program is configured",
                ));
            }
        }
        if let Some(rule) = &spec.rule {
            let patterns = [
                &rule.vendor,
                &rule.model,
                &rule.os_name,
                &rule.os_version,
                &rule.serial_number,
            ];
            let labels = rule.tags.iter().chain(&rule.groups);
            if patterns
                .into_iter()
                .flatten()
                .chain(labels)
                .any(|text| text.is_empty() || text.len() > MAX_PATTERN)
            {
                return Err(refused(
                    name,
                    "patterns, tags and groups have 1 to 256 octets",
                ));
            }
            if rule.tags.len() + rule.groups.len() > MAX_LABELS {
                return Err(refused(name, "more than 64 tags and groups in its rule"));
            }
        }
        if let Some(redirect) = &spec.redirect {
            render::redirect(redirect)?;
        }
        if let Some(boot_image) = &spec.boot_image {
            self.onboarding(&OnboardingSpec {
                boot_image: Some(boot_image.clone()),
                ..OnboardingSpec::default()
            })
            .await?;
        }
        Ok(())
    }
}

fn refused(name: &str, problem: &str) -> ServiceError {
    InventoryError::ProfileValue {
        name: name.to_owned(),
        problem: problem.to_owned(),
    }
    .into()
}

const MAX_PATTERN: usize = 256;
const MAX_LABELS: usize = 64;
const MAX_LDEVID_NAMES: usize = 16;
