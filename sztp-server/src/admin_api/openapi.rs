//! The OpenAPI document, made from the table that the requests go through.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{HeaderValue, Response, header};
use serde_json::{Map, Value, json};

use super::routes::{Operation, Routes, Table};
use super::{Api, PREFIX};
use crate::model::Role;

pub(super) fn routes() -> Routes {
    Routes::new("api").get(
        "/openapi.json",
        Role::Viewer,
        "This document (OpenAPI 3.1)",
        show,
    )
}

async fn show(State(api): State<Api>) -> Response<Body> {
    let mut response = document(&api.table).to_string().into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn document(table: &Table) -> Value {
    let mut paths = Map::new();
    for operation in table.all() {
        let path = format!("{PREFIX}{}", operation.path);
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_ascii_lowercase()] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SZTP bootstrap server, for its operators",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"certificate": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of this server or of its OIDC provider",
                },
                "certificate": {"type": "mutualTLS"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {
                        "code": {"type": "string", "description": "Stable, for programs"},
                        "message": {"type": "string"},
                        "hint": {"type": "string"},
                    },
                },
            },
            "responses": {
                "Error": {
                    "description": "Refused",
                    "content": {"application/json": {
                        "schema": {"$ref": "#/components/schemas/Error"},
                    }},
                },
            },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": identifier(operation),
        "summary": operation.summary,
        "description": format!("Takes the role {}.", operation.role),
        "tags": [operation.tag],
        "x-role": operation.role,
        "parameters": parameters(operation),
        "responses": {
            "2XX": {
                "description": "Done",
                "content": {operation.answers: {"schema": {}}},
            },
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "default": {"$ref": "#/components/responses/Error"},
        },
    });
    if let Some(body) = operation.body {
        let mut schema = json!({});
        if body.media_type == "application/json" {
            let members: Map<String, Value> = body
                .members
                .iter()
                .map(|name| ((*name).to_owned(), json!({})))
                .collect();
            schema = json!({"type": "object", "properties": members});
        }
        described["requestBody"] = json!({
            "required": true,
            "content": {body.media_type: {"schema": schema}},
        });
    }
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let text = json!({"type": "string"});
    let in_path = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({"name": name, "in": "path", "required": true, "schema": text}))
    });
    let in_query = operation
        .query
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": text}));
    in_path.chain(in_query).collect()
}

/// `get-devices-serial-history`.
fn identifier(operation: &Operation) -> String {
    let path: String = operation
        .path
        .chars()
        .filter(|c| !matches!(c, '{' | '}'))
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("{}{path}", operation.method.as_str().to_ascii_lowercase())
}
