//! [`CatalogStore`] in a database.

use serde_json::Value;
use sztp_cms::UnixTime;

use super::Database;
use crate::StoreError;
use crate::model::{
    ChangeAction, MemberChange, NewTemplate, Profile, ProfileChange, ProfileSpec, ProfileUsers,
    Syntax, Template, TemplateKind, TemplateRef, TemplateVersion, Variables,
};
use crate::store::connection::{Connection, Row, params};
use crate::store::{
    CatalogStore, DeletedProfile, DeletedTemplate, PutProfiles, StoreFuture, StoredCatalog,
};

impl CatalogStore for Database {
    fn catalog(&self) -> StoreFuture<'_, StoredCatalog> {
        self.read_snapshot(load)
    }

    fn template_content(&self, id: i64) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.read(move |connection| {
            connection.query_optional(
                "SELECT content FROM template_version WHERE id = ?1",
                params![id],
                |row| row.get(0),
            )
        })
    }

    fn put_profiles(
        &self,
        profiles: Vec<(String, ProfileSpec)>,
        time: UnixTime,
        dry_run: bool,
    ) -> StoreFuture<'_, PutProfiles> {
        self.write(move |connection| put_profiles(connection, &profiles, time, dry_run))
    }

    fn delete_profile(&self, name: &str) -> StoreFuture<'_, DeletedProfile> {
        let name = name.to_owned();
        self.write(move |connection| {
            if load_profile(connection, &name)?.is_none() {
                return Ok(DeletedProfile::Missing);
            }
            let users = users(connection, &name, Use::Needed)?;
            if users.count > 0 {
                return Ok(DeletedProfile::InUse(users));
            }
            connection.execute("DELETE FROM profile WHERE name = ?1", params![name])?;
            next_generation(connection)?;
            Ok(DeletedProfile::Deleted)
        })
    }

    fn put_template(&self, template: NewTemplate) -> StoreFuture<'_, Option<(Template, bool)>> {
        self.write(move |connection| put_template(connection, &template))
    }

    fn delete_template(&self, name: &str) -> StoreFuture<'_, DeletedTemplate> {
        let name = name.to_owned();
        self.write(move |connection| {
            let profile: Option<String> = connection.query_optional(
                "SELECT profile FROM profile_template WHERE template = ?1 LIMIT 1",
                params![name],
                |row| row.get(0),
            )?;
            if let Some(profile) = profile {
                return Ok(DeletedTemplate::InUse { profile });
            }
            let deleted =
                connection.execute("DELETE FROM template WHERE name = ?1", params![name])?;
            if deleted == 0 {
                return Ok(DeletedTemplate::Missing);
            }
            next_generation(connection)?;
            Ok(DeletedTemplate::Deleted)
        })
    }

    fn put_variables(&self, variables: Variables) -> StoreFuture<'_, ()> {
        self.write(move |connection| {
            connection.execute(
                "UPDATE catalog SET variables = ?1 WHERE id = 1",
                params![to_json(&variables)?],
            )?;
            next_generation(connection)
        })
    }
}

fn load(connection: &Connection) -> Result<StoredCatalog, StoreError> {
    let (generation, variables): (i64, String) = connection.query_one(
        "SELECT generation, variables FROM catalog WHERE id = 1",
        &[],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let profiles = connection.query_all(
        "SELECT name, spec, created_at, updated_at FROM profile ORDER BY name",
        &[],
        read_profile,
    )?;
    let named: Vec<(String, String, Option<String>)> = connection.query_all(
        "SELECT name, kind, description FROM template ORDER BY name",
        &[],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut templates = Vec::new();
    for (name, kind, description) in named {
        templates.push(Template {
            versions: versions(connection, &name)?,
            name,
            kind: kind_of(&kind)?,
            description,
        });
    }
    Ok(StoredCatalog {
        generation,
        variables: serde_json::from_str(&variables).map_err(|_| StoreError::Damaged {
            what: "catalog.variables",
        })?,
        profiles,
        templates,
    })
}

fn put_profiles(
    connection: &Connection,
    profiles: &[(String, ProfileSpec)],
    time: UnixTime,
    dry_run: bool,
) -> Result<PutProfiles, StoreError> {
    let mut changes = Vec::new();
    // All are looked at before any is written.
    for (name, spec) in profiles {
        let before = load_profile(connection, name)?;
        if let Some(refused) = refused(connection, name, spec, before.as_ref())? {
            return Ok(refused);
        }
        changes.push(match before {
            None => ProfileChange {
                name: name.clone(),
                action: ChangeAction::Create,
                changes: Vec::new(),
            },
            Some(before) => {
                let changes = differences(&before.spec, spec)?;
                let action = if changes.is_empty() {
                    ChangeAction::Unchanged
                } else {
                    ChangeAction::Change
                };
                ProfileChange {
                    name: name.clone(),
                    action,
                    changes,
                }
            }
        });
    }
    let changed = changes
        .iter()
        .any(|change| change.action != ChangeAction::Unchanged);
    if dry_run || !changed {
        return Ok(PutProfiles::Done(changes));
    }
    for ((name, spec), change) in profiles.iter().zip(&changes) {
        if change.action != ChangeAction::Unchanged {
            write_profile(connection, name, spec, time)?;
        }
    }
    next_generation(connection)?;
    Ok(PutProfiles::Done(changes))
}

/// Why a profile cannot be written.
fn refused(
    connection: &Connection,
    name: &str,
    spec: &ProfileSpec,
    before: Option<&Profile>,
) -> Result<Option<PutProfiles>, StoreError> {
    let named = [
        (&spec.pre_configuration_script, TemplateKind::Script),
        (&spec.configuration, TemplateKind::Configuration),
        (&spec.post_configuration_script, TemplateKind::Script),
    ];
    for (template, wanted) in named {
        let Some(template) = template else { continue };
        let Some(kind) = template_kind(connection, template)? else {
            return Ok(Some(PutProfiles::TemplateMissing {
                profile: name.to_owned(),
                template: template.clone(),
            }));
        };
        if kind != wanted {
            return Ok(Some(PutProfiles::TemplateKind {
                profile: name.to_owned(),
                template: template.clone(),
                kind,
            }));
        }
    }
    if let Some(image) = spec.image() {
        let known: bool = connection.query_one(
            "SELECT EXISTS (SELECT 1 FROM image WHERE name = ?1)",
            params![image],
            |row| row.get(0),
        )?;
        if !known {
            return Ok(Some(PutProfiles::ImageMissing {
                image: image.to_owned(),
            }));
        }
    }
    let Some(before) = before else {
        return Ok(None);
    };
    // What people read changes nothing for devices.
    let without_description = |spec: &ProfileSpec| ProfileSpec {
        description: None,
        ..spec.clone()
    };
    if without_description(&before.spec) == without_description(spec) {
        return Ok(None);
    }
    let users = users(connection, name, Use::InProgress)?;
    Ok((users.count > 0).then(|| PutProfiles::InUse {
        profile: name.to_owned(),
        users,
    }))
}

fn write_profile(
    connection: &Connection,
    name: &str,
    spec: &ProfileSpec,
    time: UnixTime,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO profile (name, spec, image, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, image = excluded.image,
                updated_at = excluded.updated_at",
        params![name, to_json(spec)?, spec.image(), time.secs()],
    )?;
    connection.execute(
        "DELETE FROM profile_template WHERE profile = ?1",
        params![name],
    )?;
    for template in spec.templates() {
        connection.execute(
            "INSERT INTO profile_template (profile, template) VALUES (?1, ?2)
             ON CONFLICT DO NOTHING",
            params![name, template.name],
        )?;
    }
    Ok(())
}

/// Which use of a profile counts.
#[derive(Clone, Copy)]
enum Use {
    /// By devices in the middle of their bootstrap.
    InProgress,
    /// Also by those that are assigned to it.
    Needed,
}

fn users(connection: &Connection, name: &str, which: Use) -> Result<ProfileUsers, StoreError> {
    let condition = match which {
        Use::InProgress => {
            "SELECT serial_number FROM device WHERE profile = ?1
                AND state = 'InProgress'"
        }
        Use::Needed => "SELECT serial_number FROM device WHERE profile = ?1",
    };
    let users = format!(
        "{condition} UNION SELECT serial_number FROM device
         WHERE served_profile = ?1 AND state = 'InProgress'"
    );
    let count: i64 = connection.query_one(
        &format!("SELECT count(*) FROM ({users}) AS users"),
        params![name],
        |row| row.get(0),
    )?;
    let rows = connection.query_all(
        &format!("{users} ORDER BY serial_number LIMIT 5"),
        params![name],
        |row| row.get(0),
    )?;
    Ok(ProfileUsers {
        count: u64::try_from(count).unwrap_or(0),
        serial_numbers: rows,
    })
}

fn put_template(
    connection: &Connection,
    new: &NewTemplate,
) -> Result<Option<(Template, bool)>, StoreError> {
    let there: Option<(String, Option<String>)> = connection.query_optional(
        "SELECT kind, description FROM template WHERE name = ?1",
        params![new.name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut changed = false;
    let description = match there {
        Some((kind, _)) if kind_of(&kind)? != new.kind => return Ok(None),
        Some((_, description)) => new.description.clone().or(description),
        None => {
            changed = true;
            new.description.clone()
        }
    };
    connection.execute(
        "INSERT INTO template (name, kind, description) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET description = excluded.description",
        params![new.name, new.kind.as_str(), description],
    )?;
    let before = versions(connection, &new.name)?;
    let newest = before.last();
    if newest.is_none_or(|newest| newest.sha256 != new.sha256 || newest.syntax != new.syntax) {
        changed = true;
        connection.execute(
            "INSERT INTO template_version
                    (name, version, syntax, size, sha256, created_at, content)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.name,
                newest.map_or(1, |newest| newest.version + 1),
                new.syntax.as_str(),
                i64::try_from(new.content.len()).unwrap_or(i64::MAX),
                new.sha256,
                new.time.secs(),
                new.content,
            ],
        )?;
    }
    next_generation(connection)?;
    let template = Template {
        name: new.name.clone(),
        kind: new.kind,
        description,
        versions: versions(connection, &new.name)?,
    };
    Ok(Some((template, changed)))
}

fn versions(connection: &Connection, name: &str) -> Result<Vec<TemplateVersion>, StoreError> {
    let rows = connection.query_all(
        "SELECT version, syntax, size, sha256, created_at, id FROM template_version
         WHERE name = ?1 ORDER BY version",
        params![name],
        |row| {
            Ok(TemplateVersion {
                version: row.get(0)?,
                syntax: match row.get::<String>(1)?.as_str() {
                    "verbatim" => Syntax::Verbatim,
                    _ => Syntax::Jinja,
                },
                size: u64::try_from(row.get::<i64>(2)?).unwrap_or(0),
                sha256: row.get(3)?,
                created_at: UnixTime::from_secs(row.get(4)?),
                id: row.get(5)?,
            })
        },
    )?;
    Ok(rows)
}

/// None: there is none of that name, or not that version of it.
fn template_kind(
    connection: &Connection,
    template: &TemplateRef,
) -> Result<Option<TemplateKind>, StoreError> {
    let kind: Option<String> = connection.query_optional(
        "SELECT kind FROM template WHERE name = ?1 AND (CAST(?2 AS BIGINT) IS NULL OR EXISTS
                (SELECT 1 FROM template_version AS v WHERE v.name = ?1 AND v.version = ?2))",
        params![template.name, template.version],
        |row| row.get(0),
    )?;
    kind.as_deref().map(kind_of).transpose()
}

fn kind_of(text: &str) -> Result<TemplateKind, StoreError> {
    match text {
        "configuration" => Ok(TemplateKind::Configuration),
        "script" => Ok(TemplateKind::Script),
        _ => Err(StoreError::Damaged {
            what: "template.kind",
        }),
    }
}

fn read_profile(row: &Row<'_>) -> Result<Profile, StoreError> {
    let spec: String = row.get(1)?;
    Ok(Profile {
        name: row.get(0)?,
        spec: serde_json::from_str(&spec).map_err(|_| StoreError::Damaged {
            what: "profile.spec",
        })?,
        created_at: UnixTime::from_secs(row.get(2)?),
        updated_at: UnixTime::from_secs(row.get(3)?),
    })
}

fn load_profile(connection: &Connection, name: &str) -> Result<Option<Profile>, StoreError> {
    connection.query_optional(
        "SELECT name, spec, created_at, updated_at FROM profile WHERE name = ?1",
        params![name],
        read_profile,
    )
}

fn next_generation(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE catalog SET generation = generation + 1 WHERE id = 1",
        &[],
    )?;
    Ok(())
}

/// Leaves that are not the same.
fn differences(before: &ProfileSpec, after: &ProfileSpec) -> Result<Vec<MemberChange>, StoreError> {
    let value = |spec: &ProfileSpec| {
        serde_json::to_value(spec).map_err(|error| StoreError::Database {
            reason: error.to_string(),
        })
    };
    let mut changes = Vec::new();
    compare("", &value(before)?, &value(after)?, &mut changes);
    Ok(changes)
}

fn compare(path: &str, from: &Value, to: &Value, changes: &mut Vec<MemberChange>) {
    if from == to {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (from, to) {
        let added = after.keys().filter(|name| !before.contains_key(*name));
        for name in before.keys().chain(added) {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let member = |object: &serde_json::Map<String, Value>| {
                object.get(name).cloned().unwrap_or(Value::Null)
            };
            compare(&path, &member(before), &member(after), changes);
        }
        return;
    }
    changes.push(MemberChange {
        path: path.to_owned(),
        from: from.clone(),
        to: to.clone(),
    });
}

fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database {
        reason: error.to_string(),
    })
}
