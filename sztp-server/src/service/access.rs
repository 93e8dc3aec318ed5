//! Tokens of the admin API, and the audit log.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use sztp_cms::UnixTime;

use super::{Service, now, token_hash};
use crate::model::{
    AuditEntry, AuditFilter, AuditRecord, Listed, NewToken, Page, Role, Token, TokenSpec,
};
use crate::{AccessError, ServiceError};

impl Service {
    /// Makes a token. Its secret is in the answer and nowhere else.
    pub async fn create_token(
        &self,
        spec: TokenSpec,
        created_by: &str,
    ) -> Result<NewToken, ServiceError> {
        check_name(&spec.name)?;
        let created_at = now();
        let expires_at = match spec.expires_in_secs {
            None => None,
            Some(secs) => Some(expiry(created_at, secs)?),
        };
        let secret = new_secret()?;
        let token = Token {
            name: spec.name,
            role: spec.role,
            created_at,
            created_by: Some(created_by.to_owned()),
            expires_at,
        };
        let hash = token_hash(&secret);
        if !self.0.store.add_token(token.clone(), hash).await? {
            return Err(AccessError::TokenExists { name: token.name }.into());
        }
        Ok(NewToken { token, secret })
    }

    /// Tokens in the order of their names.
    pub async fn tokens(&self, page: Page) -> Result<Listed<Token>, ServiceError> {
        let tokens = self.0.store.token_hashes().await?.into_iter();
        let after = page.after.unwrap_or_default();
        let limit = page.limit.clamp(1, Page::MAX_LIMIT) as usize;
        let mut items: Vec<Token> = tokens
            .map(|(token, _)| token)
            .filter(|token| token.name > after)
            .take(limit + 1)
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.name.clone());
        Ok(Listed { items, next })
    }

    /// Forgets a token, at once.
    pub async fn revoke_token(&self, name: &str) -> Result<(), ServiceError> {
        let now = now();
        let tokens = self.0.store.token_hashes().await?;
        let is_admin = |token: &Token| token.role == Role::Admin && token.is_valid(now);
        let mut others = tokens.iter().filter(|(token, _)| token.name != name);
        let named = tokens.iter().find(|(token, _)| token.name == name);
        if named.is_some_and(|(token, _)| is_admin(token))
            && !others.any(|(token, _)| is_admin(token))
        {
            let name = name.to_owned();
            return Err(AccessError::LastAdminToken { name }.into());
        }
        if self.0.store.revoke_token(name).await? {
            Ok(())
        } else {
            let name = name.to_owned();
            Err(AccessError::TokenMissing { name }.into())
        }
    }

    /// The token that has this secret, if it is still valid.
    pub(crate) async fn token_of(
        &self,
        secret: &str,
        now: UnixTime,
    ) -> Result<Option<Token>, ServiceError> {
        let given = token_hash(secret);
        let tokens = self.0.store.token_hashes().await?;
        // All are compared, so that the time says nothing.
        let mut found = None;
        for (token, known) in tokens {
            if bool::from(known.ct_eq(&given)) {
                found = Some(token);
            }
        }
        Ok(found.filter(|token| token.is_valid(now)))
    }

    /// Who changed what, newest first.
    pub async fn audit(
        &self,
        filter: AuditFilter,
        page: Page,
    ) -> Result<Listed<AuditEntry>, ServiceError> {
        Ok(self.0.store.audit(filter, page).await?)
    }

    /// Writes a line of the audit log that goes with no change of the database.
    pub(crate) async fn append_audit(&self, record: AuditRecord) -> Result<(), ServiceError> {
        Ok(self.0.store.append_audit(record).await?)
    }
}

/// Begins so that a token is recognised for what it is where it should not be.
pub(crate) fn new_secret() -> Result<String, AccessError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| AccessError::Randomness {
        reason: error.to_string(),
    })?;
    Ok(format!("sztp_{}", URL_SAFE_NO_PAD.encode(random)))
}

fn check_name(name: &str) -> Result<(), AccessError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(good) {
        return Ok(());
    }
    let name = name.chars().take(80).collect();
    Err(AccessError::TokenName { name })
}

fn expiry(created_at: UnixTime, secs: u64) -> Result<UnixTime, AccessError> {
    let limit = MAX_LIFETIME_SECS;
    match i64::try_from(secs) {
        Ok(signed) if (1..=limit).contains(&secs) => Ok(created_at.plus_secs(signed)),
        _ => Err(AccessError::TokenLifetime { limit }),
    }
}

/// A hundred years.
const MAX_LIFETIME_SECS: u64 = 100 * 365 * 24 * 60 * 60;
