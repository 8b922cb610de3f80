//! [`KeyStore`] in memory.

use super::MemoryStore;
use crate::store::credentials;
use crate::{ApiKey, KeyId, KeyRole, KeyStore, NewKey, Result, Secret};
use async_trait::async_trait;

#[async_trait]
impl KeyStore for MemoryStore {
    async fn create_key(&self, key: NewKey) -> Result<(ApiKey, Secret)> {
        let now = self.clock.now();
        let (id, secret) = credentials::draw(&key)?;
        let digest = credentials::digest(secret.expose());
        let mut tables = self.tables();
        if let Some((existing, _)) = tables.keys.iter().find(|(_, known)| *known == digest) {
            return if existing.revoked_at.is_none() {
                Ok((existing.clone(), secret))
            } else {
                Err(credentials::revoked())
            };
        }
        let NewKey { name, concurrency, role, secret: _ } = key;
        let created = ApiKey { id, name, concurrency, role, created_at: now, revoked_at: None };
        tables.keys.push((created.clone(), digest));
        Ok((created, secret))
    }

    async fn create_first_key(&self, key: NewKey) -> Result<Option<Secret>> {
        if !self.tables().keys.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.create_key(key).await?.1))
    }

    async fn find_key(&self, secret: &str) -> Result<Option<ApiKey>> {
        let digest = credentials::digest(secret);
        let tables = self.tables();
        let found = tables.keys.iter().find(|(_, known)| credentials::same_digest(known, &digest));
        Ok(found.map(|(key, _)| key.clone()).filter(|key| key.revoked_at.is_none()))
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>> {
        let tables = self.tables();
        let found = tables.keys.iter().find(|(key, _)| key.id == *id && key.revoked_at.is_none());
        Ok(found.map(|(key, _)| key.clone()))
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        let mut keys: Vec<ApiKey> = self.tables().keys.iter().map(|(key, _)| key.clone()).collect();
        keys.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(keys)
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let Some((key, _)) = tables.keys.iter_mut().find(|(key, _)| key.id == *id && key.revoked_at.is_none()) else {
            return Ok(false);
        };
        key.revoked_at = Some(now);
        Ok(true)
    }

    async fn set_key_role(&self, id: &KeyId, role: KeyRole) -> Result<bool> {
        let mut tables = self.tables();
        let Some((key, _)) = tables.keys.iter_mut().find(|(key, _)| key.id == *id && key.revoked_at.is_none()) else {
            return Ok(false);
        };
        key.role = role;
        Ok(true)
    }
}
