//! Profiles and configurations as every answer needs them: kept in memory, read again when a
//! device's row says that they have changed.

mod matching;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Service;
use super::templates::{self, Compiled};
use crate::model::{
    Answer, AnswerSource, Considered, Device, DeviceSpec, Facts, Profile, Reported, Template,
    TemplateRef, TemplateVersion, Variables,
};
use crate::store::StoredCatalog;
use crate::{InventoryError, StoreError};

/// All profiles and configurations, at one moment.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) generation: i64,
    pub(super) variables: Variables,
    pub(super) profiles: BTreeMap<String, Arc<Profile>>,
    pub(super) templates: BTreeMap<String, Template>,
    /// Those with a rule, in the order in which they are asked.
    ruled: Vec<Arc<Profile>>,
}

/// Which profile a device gets.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) source: AnswerSource,
    pub(super) profile: Option<Arc<Profile>>,
}

/// What is kept between answers.
#[derive(Debug, Default)]
pub(super) struct CatalogCache {
    current: RwLock<Option<Arc<Catalog>>>,
    compiled: Mutex<HashMap<i64, Arc<Compiled>>>,
}

impl CatalogCache {
    pub(super) fn compiled(&self, id: i64) -> Option<Arc<Compiled>> {
        let compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.get(&id).cloned()
    }

    pub(super) fn keep(&self, id: i64, template: Arc<Compiled>) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= COMPILED {
            compiled.clear();
        }
        compiled.insert(id, template);
    }
}

impl Service {
    /// The catalog, no older than a generation.
    pub(super) async fn catalog(&self, generation: i64) -> Result<Arc<Catalog>, StoreError> {
        let current = self
            .0
            .catalog
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match current {
            Some(current) if current.generation >= generation => Ok(current),
            _ => self.newest_catalog().await,
        }
    }

    /// The catalog as it is in the database.
    pub(super) async fn newest_catalog(&self) -> Result<Arc<Catalog>, StoreError> {
        let catalog = Arc::new(Catalog::new(self.0.store.catalog().await?));
        let mut current = self
            .0
            .catalog
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Some(catalog.clone());
        Ok(catalog)
    }
}

impl Catalog {
    fn new(stored: StoredCatalog) -> Self {
        let profiles: BTreeMap<_, _> = stored
            .profiles
            .into_iter()
            .map(|profile| (profile.name.clone(), Arc::new(profile)))
            .collect();
        let mut ruled: Vec<_> = profiles
            .values()
            .filter(|profile| profile.spec.rule.is_some())
            .cloned()
            .collect();
        // Stable, so that names decide among equals.
        ruled.sort_by_key(|profile| std::cmp::Reverse(profile.spec.priority));
        Self {
            generation: stored.generation,
            variables: stored.variables,
            profiles,
            templates: stored
                .templates
                .into_iter()
                .map(|template| (template.name.clone(), template))
                .collect(),
            ruled,
        }
    }

    pub(super) fn profile(&self, name: &str) -> Result<&Arc<Profile>, InventoryError> {
        self.profiles
            .get(name)
            .ok_or_else(|| InventoryError::ProfileMissing {
                name: name.chars().take(140).collect(),
            })
    }

    pub(super) fn version(
        &self,
        reference: &TemplateRef,
    ) -> Result<&TemplateVersion, InventoryError> {
        self.templates
            .get(&reference.name)
            .and_then(|template| template.version(reference.version))
            .ok_or_else(|| templates::missing(&reference.to_string()))
    }

    /// Which profile a device gets: the one that it is assigned to, or the first whose rule holds.
    pub(super) fn choose(&self, device: &Device, reported: &Reported) -> Choice {
        let spec = &device.spec;
        if spec.answer.is_own() {
            return Choice {
                source: AnswerSource::Device,
                profile: spec
                    .profile
                    .as_ref()
                    .and_then(|name| self.profiles.get(name))
                    .cloned(),
            };
        }
        if let Some(name) = &spec.profile {
            let profile = self.profiles.get(name).cloned();
            let source = match profile {
                Some(_) => AnswerSource::Assigned,
                None => AnswerSource::Nothing,
            };
            return Choice { source, profile };
        }
        let facts = facts(device, reported);
        let matching = self.ruled.iter().find(|profile| {
            let rule = profile.spec.rule.as_ref();
            rule.is_some_and(|rule| matching::matches(rule, &facts))
        });
        Choice {
            source: match matching {
                Some(_) => AnswerSource::Rule,
                None => AnswerSource::Nothing,
            },
            profile: matching.cloned(),
        }
    }

    /// What each rule says of a device.
    pub(super) fn consider(&self, facts: &Facts) -> Vec<Considered> {
        self.ruled
            .iter()
            .filter_map(|profile| {
                let mismatches = matching::mismatches(profile.spec.rule.as_ref()?, facts);
                Some(Considered {
                    profile: profile.name.clone(),
                    priority: profile.spec.priority,
                    matches: mismatches.is_empty(),
                    mismatches,
                })
            })
            .collect()
    }
}

/// What rules are asked about; what a device says itself wins over what an operator said of it.
pub(super) fn facts(device: &Device, reported: &Reported) -> Facts {
    let spec = &device.spec;
    let mut serial_numbers = vec![device.serial_number.clone()];
    serial_numbers.extend(spec.serial_numbers.iter().cloned());
    Facts {
        vendor: spec.vendor.clone().or_else(|| reported.vendor.clone()),
        model: reported.hw_model.clone().or_else(|| spec.model.clone()),
        os_name: reported.os_name.clone(),
        os_version: reported.os_version.clone(),
        serial_numbers,
        tags: spec.tags.iter().cloned().collect(),
        groups: spec.groups.iter().cloned().collect(),
    }
}

/// What is set for a device, and where nothing is, what is set in its profile; but for the answer.
pub(super) fn with_profile(spec: &DeviceSpec, profile: Option<&Profile>) -> DeviceSpec {
    let Some(profile) = profile.map(|profile| &profile.spec) else {
        return spec.clone();
    };
    DeviceSpec {
        promote: spec.promote.or(profile.promote),
        sign: spec.sign.or(profile.sign),
        reprovision: spec.reprovision.or(profile.reprovision),
        progress_timeout_secs: spec.progress_timeout_secs.or(profile.progress_timeout_secs),
        reporting_level: spec.reporting_level.or(profile.reporting_level),
        conveyed_encoding: spec.conveyed_encoding.or(profile.conveyed_encoding),
        content_type: spec.content_type.or(profile.content_type),
        activation_codes: spec.activation_codes.or(profile.activation_codes),
        dialect: spec.dialect.clone().or_else(|| profile.dialect.clone()),
        answer: match (&spec.answer, &profile.redirect) {
            (answer, Some(redirect)) if !answer.is_own() => Answer::Redirect(redirect.clone()),
            (answer, _) => answer.clone(),
        },
        ..spec.clone()
    }
}

/// Versions of configurations that are kept ready.
const COMPILED: usize = 1024;
