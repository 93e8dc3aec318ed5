//! Answers in the form of Crosswork: `{"code": .., "message": .., ..}`.

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value, json};

use crate::ServiceError;
use crate::admin_api::status_of;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    /// Of HTTP.
    status: StatusCode,
    body: Value,
    retry_after_secs: Option<u64>,
}

impl Reply {
    /// A yes with a word and what else there is.
    pub(super) fn done(code: u16, message: &str) -> Self {
        Self::with(code, json!({"message": message}))
    }

    /// A yes with members.
    pub(super) fn with(code: u16, members: Value) -> Self {
        let mut body = match members {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        body.insert("code".to_owned(), json!(code));
        Self {
            status: StatusCode::OK,
            body: Value::Object(body),
            retry_after_secs: None,
        }
    }

    /// A no, in the body only.
    pub(super) fn refused(code: u16, message: &str) -> Self {
        Self::done(code, message)
    }

    /// The same with the HTTP status of its code.
    pub(super) fn in_http(mut self) -> Self {
        let code = self.body["code"].as_u64().unwrap_or(500);
        self.status = u16::try_from(code)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self
    }
}

impl From<ServiceError> for Reply {
    fn from(error: ServiceError) -> Self {
        let (status, retry_after_secs) = status_of(&error);
        let message = if status.is_server_error() && retry_after_secs.is_none() {
            tracing::error!(code = error.code(), %error, "a request failed");
            "the server cannot answer at present".to_owned()
        } else {
            match error.hint() {
                Some(hint) => format!("{}: {error} ({hint})", error.code()),
                None => format!("{}: {error}", error.code()),
            }
        };
        let reply = Self {
            retry_after_secs,
            ..Self::refused(status.as_u16(), &message)
        };
        // Who is not let in, and who is to come again, has to notice it.
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                reply.in_http()
            }
            status if status.is_server_error() => reply.in_http(),
            _ => reply,
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if let Some(secs) = self.retry_after_secs {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

/// Octets of a bounded size.
pub(super) async fn receive(request: Request<Body>, limit: usize) -> Result<Bytes, Reply> {
    let collected = Limited::new(request.into_body(), limit).collect().await;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {limit} octets");
            Err(Reply::refused(413, &message).in_http())
        }
        Err(_) => Err(Reply::refused(400, "the body broke off").in_http()),
    }
}

/// A JSON object of a bounded size.
pub(super) async fn receive_json(request: Request<Body>, limit: usize) -> Result<Value, Reply> {
    let octets = receive(request, limit).await?;
    match serde_json::from_slice(&octets) {
        Ok(document @ Value::Object(_)) => Ok(document),
        Ok(_) => Err(Reply::refused(400, "the body is no JSON object")),
        Err(error) => Err(Reply::refused(
            400,
            &format!("the body is no JSON: {error}"),
        )),
    }
}

/// A text, or the first of a list of texts; numbers and truth as texts, as scripts send either.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Array(values) => return values.first().and_then(text),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// All texts of a list, or the one that stands for it.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(text).collect(),
        value => text(value).into_iter().collect(),
    }
}

/// What was asked for of a list: `filter` has to be there, and pages count from 0.
pub(super) struct Asked {
    filter: Map<String, Value>,
    pub(super) size: usize,
    pub(super) from: usize,
}

impl Asked {
    pub(super) fn of(document: &Value) -> Result<Self, Reply> {
        let Value::Object(filter) = &document["filter"] else {
            return Err(Reply::refused(400, "filter not provided"));
        };
        let number = |name: &str| {
            let value = text(&document["filterData"][name])?;
            value.parse::<usize>().ok()
        };
        let size = number("PageSize").unwrap_or(PAGE).clamp(1, MAX_PAGE);
        Ok(Self {
            filter: filter.clone(),
            size,
            from: number("PageNum").unwrap_or(0).saturating_mul(size),
        })
    }

    /// Whether an entry has all that is asked for; `*` stands for any text.
    pub(super) fn wants(&self, entry: &Value) -> bool {
        self.filter.iter().all(|(name, wanted)| {
            let wanted = texts(wanted);
            let has = texts(&entry[name]);
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|pattern| has.iter().any(|text| fits(pattern, text)))
        })
    }

    /// One value that an entry must have exactly.
    pub(super) fn exactly(&self, name: &str) -> Option<String> {
        let wanted = texts(self.filter.get(name)?);
        match wanted.as_slice() {
            [one] if !one.contains('*') => Some(one.clone()),
            _ => None,
        }
    }

    /// A page of what was found. Crosswork leaves out a list without entries.
    pub(super) fn page(&self, names: &[&str], found: Vec<Value>) -> Reply {
        let total = found.len();
        let page: Vec<Value> = found.into_iter().skip(self.from).take(self.size).collect();
        let mut members = json!({
            "message": "Get is success",
            "paginationDetails": {"PageSize": self.size, "TotalCount": total},
            "pagination": {"TotalCount": total},
        });
        if !page.is_empty() {
            for name in names {
                members[*name] = Value::Array(page.clone());
            }
        }
        Reply::with(200, members)
    }
}

/// A pattern with any number of `*`.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

const PAGE: usize = 30;
const MAX_PAGE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, is_fit) in [
            ("*", "", true),
            ("*FOC1", "FOC1", true),
            ("FOC*", "FOC1", true),
            ("F*C*1", "FOOC21", true),
            ("FOC", "FOC1", false),
            ("*C", "FOC1", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, text), is_fit, "{pattern} {text}");
        }
    }

    #[test]
    fn filters_take_texts_and_lists() {
        let asked = |filter: Value| Asked::of(&json!({"filter": filter})).unwrap();
        let entry = json!({"serialNumber": ["A1", "A2"], "status": "Provisioned"});
        assert!(asked(json!({})).wants(&entry));
        assert!(asked(json!({"serialNumber": ["A2"]})).wants(&entry));
        assert!(asked(json!({"serialNumber": "*2", "status": "Pro*"})).wants(&entry));
        assert!(!asked(json!({"serialNumber": "B"})).wants(&entry));
        assert!(!asked(json!({"hostName": "x"})).wants(&entry));
        assert!(Asked::of(&json!({})).is_err());
    }
}
