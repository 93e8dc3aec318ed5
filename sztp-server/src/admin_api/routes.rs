//! The table of operations: path, method, role and handler said once, so that the router, the role
//! check and the OpenAPI document cannot disagree.

use std::collections::HashMap;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, post, put};
use http::Method;
use serde::de::DeserializeOwned;

use super::Api;
use super::fields::fields_of;
use crate::model::Role;

/// Operations on some resources, to be merged into those of the whole API.
pub(super) struct Routes {
    tag: &'static str,
    router: Router<Api>,
    operations: Vec<Operation>,
}

/// One operation.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) method: Method,
    /// Beneath `/api/v1`, with `{name}` for what varies.
    pub(super) path: &'static str,
    /// What it takes.
    pub(super) role: Role,
    pub(super) summary: &'static str,
    pub(super) tag: &'static str,
    /// Names of the parameters in the query.
    pub(super) query: &'static [&'static str],
    /// Media type and members of the body.
    pub(super) body: Option<BodyKind>,
    /// Media type of what it answers.
    pub(super) answers: &'static str,
    /// Whether it leaves everything as it is, whatever its method says.
    pub(super) is_read_only: bool,
}

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyKind {
    pub(super) media_type: &'static str,
    /// Of a JSON object; empty: not said here.
    pub(super) members: &'static [&'static str],
}

impl Routes {
    /// `tag` groups them in the OpenAPI document.
    pub(super) fn new(tag: &'static str) -> Self {
        Self {
            tag,
            router: Router::new(),
            operations: Vec::new(),
        }
    }

    pub(super) fn get<H, T>(
        self,
        path: &'static str,
        role: Role,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(Method::GET, path, role, summary, get(handler))
    }

    pub(super) fn post<H, T>(
        self,
        path: &'static str,
        role: Role,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(Method::POST, path, role, summary, post(handler))
    }

    pub(super) fn put<H, T>(
        self,
        path: &'static str,
        role: Role,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(Method::PUT, path, role, summary, put(handler))
    }

    pub(super) fn delete<H, T>(
        self,
        path: &'static str,
        role: Role,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add(Method::DELETE, path, role, summary, delete(handler))
    }

    /// The last operation takes this query.
    pub(super) fn query<Q: DeserializeOwned>(mut self) -> Self {
        if let Some(last) = self.operations.last_mut() {
            last.query = fields_of::<Q>();
        }
        self
    }

    /// The last operation takes this in a JSON object.
    pub(super) fn json<B: DeserializeOwned>(self) -> Self {
        let members = fields_of::<B>();
        self.with_body(BodyKind {
            media_type: "application/json",
            members,
        })
    }

    /// The last operation takes a body of this kind.
    pub(super) fn takes(self, media_type: &'static str) -> Self {
        self.with_body(BodyKind {
            media_type,
            members: &[],
        })
    }

    /// The last operation answers with this media type.
    pub(super) fn answers(mut self, media_type: &'static str) -> Self {
        if let Some(last) = self.operations.last_mut() {
            last.answers = media_type;
        }
        self
    }

    /// The last operation changes nothing, though it is no GET.
    pub(super) fn read_only(mut self) -> Self {
        if let Some(last) = self.operations.last_mut() {
            last.is_read_only = true;
        }
        self
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// The router, and the table of what is in it.
    pub(super) fn finish(self) -> (Router<Api>, Table) {
        (self.router, Table::new(self.operations))
    }

    fn add(
        mut self,
        method: Method,
        path: &'static str,
        role: Role,
        summary: &'static str,
        handler: MethodRouter<Api>,
    ) -> Self {
        self.router = self.router.route(path, handler);
        self.operations.push(Operation {
            is_read_only: method == Method::GET,
            method,
            path,
            role,
            summary,
            tag: self.tag,
            query: &[],
            body: None,
            answers: "application/json",
        });
        self
    }

    fn with_body(mut self, body: BodyKind) -> Self {
        if let Some(last) = self.operations.last_mut() {
            last.body = Some(body);
        }
        self
    }
}

/// All operations, found by method and path.
#[derive(Debug)]
pub(super) struct Table {
    operations: Vec<Operation>,
    places: HashMap<(Method, &'static str), usize>,
}

impl Table {
    fn new(operations: Vec<Operation>) -> Self {
        let places = operations.iter().enumerate();
        Self {
            places: places
                .map(|(place, operation)| ((operation.method.clone(), operation.path), place))
                .collect(),
            operations,
        }
    }

    pub(super) fn all(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation of a request; HEAD is answered as GET.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<&Operation> {
        let method = if method == Method::HEAD {
            Method::GET
        } else {
            method.clone()
        };
        let place = self.places.get(&(method, path) as &(Method, &str))?;
        self.operations.get(*place)
    }
}
