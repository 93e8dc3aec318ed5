//! Configurations and scripts: kept in versions, filled in when a device asks.

mod engine;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::catalog::Catalog;
use super::images::hex;
use super::{Service, now};
use crate::model::{
    Device, Listed, NeededVariable, NewTemplate, Page, Rendered, Syntax, Template, TemplateKind,
    TemplateRef, TemplateVersion, Variables,
};
use crate::store::DeletedTemplate;
use crate::{InventoryError, ServiceError};

pub(super) use engine::Compiled;

impl Service {
    /// Adds a version of a configuration or script, or the first. The answer is `false` if the
    /// newest version is the same already.
    pub async fn put_template(
        &self,
        name: &str,
        kind: TemplateKind,
        syntax: Syntax,
        description: Option<String>,
        content: Vec<u8>,
    ) -> Result<(Template, bool), ServiceError> {
        check_name(name)?;
        let limit = self.0.max_configuration_bytes;
        if content.len() > limit {
            let what = "a configuration or script";
            return Err(InventoryError::TooLarge { what, limit }.into());
        }
        if syntax == Syntax::Jinja {
            Compiled::jinja(name, content.clone())?;
        }
        let new = NewTemplate {
            name: name.to_owned(),
            kind,
            description,
            syntax,
            sha256: hex(&Sha256::digest(&content)),
            content,
            time: now(),
        };
        let put = self.0.store.put_template(new).await?;
        let Some((template, new_version)) = put else {
            let kind = match kind {
                TemplateKind::Configuration => TemplateKind::Script,
                TemplateKind::Script => TemplateKind::Configuration,
            };
            let name = name.to_owned();
            return Err(InventoryError::TemplateIsOther { name, kind }.into());
        };
        let version = template.versions.last().map(|newest| newest.version);
        tracing::info!(name, version, new_version, "configuration stored");
        Ok((template, new_version))
    }

    /// Configurations and scripts in the order of their names.
    pub async fn templates(&self, page: Page) -> Result<Listed<Template>, ServiceError> {
        let catalog = self.newest_catalog().await?;
        Ok(page_of(catalog.templates.values(), &page, |template| {
            &template.name
        }))
    }

    /// A configuration or script with its versions.
    pub async fn template(&self, name: &str) -> Result<Template, ServiceError> {
        let catalog = self.newest_catalog().await?;
        let template = catalog.templates.get(name).cloned();
        Ok(template.ok_or_else(|| missing(name))?)
    }

    /// The content as uploaded.
    pub async fn template_content(
        &self,
        reference: &TemplateRef,
    ) -> Result<(TemplateVersion, Vec<u8>), ServiceError> {
        let catalog = self.newest_catalog().await?;
        let version = catalog.version(reference)?.clone();
        let content = self.0.store.template_content(version.id).await?;
        Ok((version, content.ok_or_else(|| missing(&reference.name))?))
    }

    /// Deletes a configuration or script that no profile names, with all its versions.
    pub async fn delete_template(&self, name: &str) -> Result<(), ServiceError> {
        let name = name.to_owned();
        match self.0.store.delete_template(&name).await? {
            DeletedTemplate::Missing => Err(missing(&name).into()),
            DeletedTemplate::InUse { profile } => {
                Err(InventoryError::TemplateInUse { name, profile }.into())
            }
            DeletedTemplate::Deleted => Ok(()),
        }
    }

    /// The variables that a template looks up. Which of them it needs can depend on the values of
    /// others.
    pub async fn template_variables(
        &self,
        reference: &TemplateRef,
    ) -> Result<Vec<NeededVariable>, ServiceError> {
        let catalog = self.newest_catalog().await?;
        let compiled = self.compiled(&catalog, reference).await?.1;
        let variables = compiled.variables().iter();
        Ok(variables
            .map(|name| NeededVariable {
                name: name.clone(),
                of_device: of_device(name),
                has_default: has(&catalog.variables, name),
            })
            .collect())
    }

    /// A template filled in as it would be for a device, or with variables alone. `variables` win
    /// over all others.
    pub async fn render_template(
        &self,
        reference: &TemplateRef,
        serial_number: Option<&str>,
        profile: Option<&str>,
        variables: &Variables,
    ) -> Result<Rendered, ServiceError> {
        let catalog = self.newest_catalog().await?;
        let device = match serial_number {
            Some(serial_number) => Some(self.device(serial_number).await?),
            None => None,
        };
        let profile = match (profile, &device) {
            (Some(name), _) => Some(catalog.profile(name)?.clone()),
            (None, Some(device)) => catalog.choose(device, &device.reported).profile,
            (None, None) => None,
        };
        let of_profile = profile.as_ref().map(|profile| &profile.spec.variables);
        let mut context = match &device {
            Some(device) => context(device, &catalog.variables, of_profile),
            None => layered([Some(&catalog.variables), of_profile]),
        };
        if let Some(device) = &device {
            // Who may look at a configuration may not speak for the device.
            self.add_crosswork(&mut context, device, false);
        }
        context.extend(variables.clone());
        let (version, content) = self.render_one(&catalog, reference, &context).await?;
        Ok(Rendered {
            name: reference.name.clone(),
            version,
            size: content.len() as u64,
            content: String::from_utf8_lossy(&content).into_owned(),
        })
    }

    /// The variables that hold for all devices.
    pub async fn default_variables(&self) -> Result<Variables, ServiceError> {
        Ok(self.newest_catalog().await?.variables.clone())
    }

    /// Replaces the variables that hold for all devices.
    pub async fn put_default_variables(&self, variables: Variables) -> Result<(), ServiceError> {
        check_variables("variables", &variables)?;
        Ok(self.0.store.put_variables(variables).await?)
    }

    /// A version's number and its content, filled in.
    pub(super) async fn render_one(
        &self,
        catalog: &Catalog,
        reference: &TemplateRef,
        context: &Map<String, Value>,
    ) -> Result<(u32, Vec<u8>), ServiceError> {
        let (version, compiled) = self.compiled(catalog, reference).await?;
        let limit = self.0.max_configuration_bytes;
        if let Compiled::Verbatim(octets) = &*compiled {
            return Ok((version, octets.clone()));
        }
        let context = minijinja::Value::from(minijinja::value::Serde(context));
        // Templates may take as long as their fuel lasts.
        let render = move || compiled.render(&context, limit);
        let octets = tokio::task::spawn_blocking(render)
            .await
            .map_err(|_| ServiceError::Stopping)??;
        Ok((version, octets))
    }

    /// A version that was read before is kept: it never changes.
    pub(super) async fn compiled(
        &self,
        catalog: &Catalog,
        reference: &TemplateRef,
    ) -> Result<(u32, Arc<Compiled>), ServiceError> {
        let version = catalog.version(reference)?;
        if let Some(compiled) = self.0.catalog.compiled(version.id) {
            return Ok((version.version, compiled));
        }
        let content = self.0.store.template_content(version.id).await?;
        let content = content.ok_or_else(|| missing(&reference.name))?;
        let label = format!("{}@{}", reference.name, version.version);
        let compiled = Arc::new(match version.syntax {
            Syntax::Verbatim => Compiled::Verbatim(content),
            Syntax::Jinja => Compiled::jinja(&label, content)?,
        });
        self.0.catalog.keep(version.id, compiled.clone());
        Ok((version.version, compiled))
    }

    /// What templates need for a device and do not find.
    pub(super) async fn missing_variables(
        &self,
        catalog: &Catalog,
        templates: impl Iterator<Item = &TemplateRef>,
        context: &Map<String, Value>,
    ) -> Result<Vec<String>, ServiceError> {
        let mut missing = BTreeSet::new();
        for reference in templates {
            let compiled = self.compiled(catalog, reference).await?.1;
            if compiled.variables().iter().all(|name| has(context, name)) {
                continue;
            }
            // Which of them it needs shows only when it is filled in, one after the other.
            let mut context = context.clone();
            while missing.len() < MAX_MISSING {
                let variable = match self.render_one(catalog, reference, &context).await {
                    Err(ServiceError::Inventory(InventoryError::UndefinedVariable {
                        variable,
                        ..
                    })) => variable,
                    Err(error @ (ServiceError::Store(_) | ServiceError::Stopping)) => {
                        return Err(error);
                    }
                    // Complete, or wrong in another way, which `render` tells.
                    _ => break,
                };
                let can_go_on = stand_in(&mut context, &variable);
                missing.insert(variable);
                if !can_go_on {
                    break;
                }
            }
        }
        Ok(missing.into_iter().collect())
    }
}

/// Gives a name with dots some value; `false`: that cannot be.
fn stand_in(context: &mut Map<String, Value>, name: &str) -> bool {
    let mut path: Vec<&str> = name.split('.').collect();
    let plain = |part: &&str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let Some(last) = path
        .pop()
        .filter(|_| name.split('.').all(|part| plain(&part)))
    else {
        return false;
    };
    let mut object = context;
    for part in path {
        let member = object
            .entry(part)
            .or_insert_with(|| Value::Object(Map::new()));
        match member.as_object_mut() {
            Some(inner) => object = inner,
            None => return false,
        }
    }
    object.insert(last.to_owned(), "0".into()).is_none()
}

/// What a template sees of a device: its own members, and variables, the more special winning.
pub(super) fn context(
    device: &Device,
    defaults: &Variables,
    of_profile: Option<&Variables>,
) -> Map<String, Value> {
    let spec = &device.spec;
    let mut context = layered([Some(defaults), of_profile, Some(&spec.variables)]);
    let mut members = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            if TOP_LEVEL.contains(&name) {
                context.insert(name.to_owned(), value.clone());
            }
            members.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::String);
    let reported = &device.reported;
    set("serial_number", Some(device.serial_number.clone().into()));
    set("hostname", text(&spec.host_name));
    set("management_address", text(&spec.management_address));
    set("location", text(&spec.location));
    set("vendor", text(&spec.vendor).or(text(&reported.vendor)));
    set("model", text(&reported.hw_model).or(text(&spec.model)));
    set("os_name", text(&reported.os_name));
    set("os_version", text(&reported.os_version));
    set("serial_numbers", Some(spec.serial_numbers.clone().into()));
    set("tags", Some(spec.tags.iter().cloned().collect()));
    set("groups", Some(spec.groups.iter().cloned().collect()));
    let attributes = spec.attributes.clone().into_iter().collect();
    set("attributes", Some(Value::Object(attributes)));
    context.insert("device".to_owned(), Value::Object(members));
    context
}

/// Later ones win.
fn layered<'a>(layers: impl IntoIterator<Item = Option<&'a Variables>>) -> Map<String, Value> {
    let mut all = Map::new();
    for layer in layers.into_iter().flatten() {
        all.extend(layer.clone());
    }
    all
}

/// Whether a name with dots leads to a value.
fn has<'a>(values: impl Values<'a>, name: &str) -> bool {
    let mut path = name.split('.');
    let mut value = path.next().and_then(|first| values.value(first));
    for member in path {
        value = value.and_then(|value| value.get(member));
    }
    value.is_some()
}

/// Values by name, however they are kept.
trait Values<'a> {
    fn value(self, name: &str) -> Option<&'a Value>;
}

impl<'a> Values<'a> for &'a Variables {
    fn value(self, name: &str) -> Option<&'a Value> {
        self.get(name)
    }
}

impl<'a> Values<'a> for &'a Map<String, Value> {
    fn value(self, name: &str) -> Option<&'a Value> {
        self.get(name)
    }
}

fn of_device(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    first == "device" || TOP_LEVEL.contains(&first)
}

/// Templates look variables up by name, so a name must be one that can be written there.
pub(super) fn check_variables(
    member: &'static str,
    variables: &Variables,
) -> Result<(), InventoryError> {
    let refused = |problem: String| Err(InventoryError::Member { member, problem });
    for name in variables.keys() {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let begins = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if name.len() > 64 || !begins || !name.bytes().all(plain) {
            let short: String = name.chars().take(64).collect();
            return refused(format!(
                "{short:?} is not a name of letters, digits and `_` that begins with no digit"
            ));
        }
        if name == "device" {
            return refused("`device` stands for the device itself".to_owned());
        }
    }
    let size = serde_json::to_string(variables).map_or(usize::MAX, |text| text.len());
    if size > MAX_VARIABLES {
        return refused(format!("more than {MAX_VARIABLES} octets as JSON"));
    }
    Ok(())
}

/// Names of profiles, configurations and scripts go into URIs and references as they are.
pub(super) fn check_name(name: &str) -> Result<(), InventoryError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.') {
        Ok(())
    } else {
        let name = name.chars().take(140).collect();
        Err(InventoryError::Name { name })
    }
}

/// A page of what is in the order of its names.
pub(super) fn page_of<'a, T: Clone + 'a>(
    all: impl Iterator<Item = &'a T>,
    page: &Page,
    name: impl Fn(&T) -> &String,
) -> Listed<T> {
    let limit = page.limit.clamp(1, Page::MAX_LIMIT) as usize;
    let mut items: Vec<T> = all
        .filter(|item| page.after.as_ref().is_none_or(|after| name(item) > after))
        .take(limit + 1)
        .cloned()
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|item| name(item).clone());
    Listed { items, next }
}

pub(super) fn missing(name: &str) -> InventoryError {
    InventoryError::TemplateMissing {
        name: name.chars().take(140).collect(),
    }
}

/// Members of a device that a template may also name without `device.`.
const TOP_LEVEL: [&str; 4] = [
    "serial_number",
    "hostname",
    "management_address",
    "location",
];

/// Variables that are named at once.
const MAX_MISSING: usize = 32;

/// Octets of the variables of one device, profile, or of all.
const MAX_VARIABLES: usize = 256 * 1024;
