//! Downloading an image to a file while hashing it, resumed after interruptions, and by another process
//! if it is told to.
//!
//! The server of an image need not be authenticated (RFC 8572 §5.6): what counts is the hash,
//! which the device machine compares. Redirects are not followed, as an image comes from the URIs
//! that the owner gave and from nowhere else.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use sha2::{Digest, Sha256};
use sztp_cms::ServerTrust;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use url::Url;

use super::Client;
use super::connection::{Connection, addresses_of, within};
use super::fault::{Fault, explain};
use super::image_file::ImageFile;

/// An image in a file; the file is removed when this is dropped.
pub(super) struct Downloaded {
    file: ImageFile,
    sha256: [u8; 32],
}

impl Downloaded {
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        self.sha256
    }
}

/// Downloads what `uri` names; `progress` is told octets that arrived and octets in all.
pub(super) async fn download(
    client: &Client,
    uri: &str,
    progress: impl FnMut(u64, Option<u64>) + Send,
) -> Result<Downloaded, Fault> {
    let url = image_url(uri)?;
    let settings = &client.settings;
    let mut opened = if settings.keep_partial_images {
        ImageFile::go_on(&settings.download_directory, uri).await
    } else {
        ImageFile::create(&settings.download_directory).await
    }
    .map_err(file_fault)?;
    let mut hasher = Sha256::new();
    let received = opened.read_into(&mut hasher).await.map_err(file_fault)?;
    let mut download = Download {
        client,
        url,
        file: opened.file,
        place: opened.place,
        hasher,
        received,
        told: received,
        noted: received,
        entity_tag: opened.entity_tag,
        progress,
    };
    let limit = settings.image_timeout;
    let outcome = within("the download", limit, download.go_on_to_the_end()).await;
    if let Err(fault) = outcome.and_then(|outcome| outcome) {
        // What is left is of use to another attempt, if anything.
        let passes = matches!(
            fault,
            Fault::Interrupted(_) | Fault::TimedOut { .. } | Fault::Status(429 | 500..=599)
        );
        if !passes {
            download.place.forget();
        }
        return Err(fault);
    }
    download.file.sync_all().await.map_err(file_fault)?;
    download.place.forget();
    Ok(Downloaded {
        file: download.place,
        sha256: download.hasher.finalize().into(),
    })
}

struct Download<'a, P> {
    client: &'a Client,
    url: Url,
    file: File,
    place: ImageFile,
    hasher: Sha256,
    received: u64,
    told: u64,
    /// What another process can rely on.
    noted: u64,
    /// A strong one, so that the rest of another version is not taken for the rest of this one.
    entity_tag: Option<http::HeaderValue>,
    progress: P,
}

/// How an attempt failed.
enum Broken {
    /// Going on may help.
    Interrupted(Fault),
    /// It may not.
    Final(Fault),
}

impl<P: FnMut(u64, Option<u64>) + Send> Download<'_, P> {
    async fn go_on_to_the_end(&mut self) -> Result<(), Fault> {
        let mut in_vain = 0;
        let mut furthest = 0;
        loop {
            let fault = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(Broken::Final(fault)) => return Err(fault),
                Err(Broken::Interrupted(fault)) => fault,
            };
            // Nothing to go on from: the next URI is as good.
            if self.received == 0 && furthest == 0 {
                return Err(fault);
            }
            // What a new beginning brings again is no progress.
            in_vain = if self.received > furthest {
                0
            } else {
                in_vain + 1
            };
            furthest = furthest.max(self.received);
            if in_vain > self.client.settings.max_resumptions {
                return Err(Fault::Interrupted(fault.to_string()));
            }
            tokio::time::sleep(PAUSE * (in_vain + 1)).await;
        }
    }

    async fn attempt(&mut self) -> Result<(), Broken> {
        let settings = &self.client.settings;
        let mut connection = self.connect().await.map_err(Broken::Interrupted)?;
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .uri(path)
            .header(header::ACCEPT_ENCODING, "identity");
        if self.received > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.received));
            if let Some(entity_tag) = &self.entity_tag {
                request = request.header(header::IF_RANGE, entity_tag);
            }
        }
        let request = request.body(Full::<Bytes>::default()).map_err(|_| {
            Broken::Final(Fault::Http("the URI cannot stand in a request".to_owned()))
        })?;
        let (head, mut body) = connection
            .send(settings, request)
            .await
            .map_err(Broken::Interrupted)?
            .into_parts();
        let total = match head.status {
            StatusCode::OK => {
                self.restart().await?;
                length(&head.headers)
            }
            StatusCode::PARTIAL_CONTENT if self.received > 0 => {
                match content_range(&head.headers) {
                    Some((first, total)) if first == self.received => total,
                    _ => {
                        self.restart().await?;
                        let reason = "the server sent another range than asked for".to_owned();
                        return Err(Broken::Interrupted(Fault::Http(reason)));
                    }
                }
            }
            // The file has become shorter: it is another one.
            StatusCode::RANGE_NOT_SATISFIABLE if self.received > 0 => {
                self.restart().await?;
                return Err(Broken::Interrupted(Fault::Status(416)));
            }
            status => return Err(Broken::Final(Fault::Status(status.as_u16()))),
        };
        let limit = settings.max_image_octets;
        if total.is_some_and(|total| total > limit) {
            return Err(Broken::Final(Fault::TooLarge { limit }));
        }
        self.entity_tag = head
            .headers
            .get(header::ETAG)
            .filter(|tag| !tag.as_bytes().starts_with(b"W/"))
            .cloned();
        loop {
            let frame = within("the next part", settings.stall_timeout, body.frame())
                .await
                .map_err(Broken::Interrupted)?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| Broken::Interrupted(Fault::Http(explain(&error))))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.received += data.len() as u64;
            if self.received > limit {
                return Err(Broken::Final(Fault::TooLarge { limit }));
            }
            self.hasher.update(&data);
            self.file
                .write_all(&data)
                .await
                .map_err(|error| Broken::Final(file_fault(error)))?;
            self.note()
                .await
                .map_err(|error| Broken::Final(file_fault(error)))?;
            if self.received - self.told >= TELL_EVERY {
                self.told = self.received;
                (self.progress)(self.received, total);
            }
        }
        match total {
            Some(total) if self.received != total => Err(Broken::Interrupted(Fault::Http(
                format!("{} of {total} octets arrived", self.received),
            ))),
            _ => {
                self.file
                    .flush()
                    .await
                    .map_err(|error| Broken::Final(file_fault(error)))?;
                (self.progress)(self.received, total);
                Ok(())
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or(443);
        let secure = self.url.scheme() == "https";
        let mut faults = Vec::new();
        for address in addresses_of(&self.client.settings, host, port).await? {
            let trust = secure.then_some(ServerTrust::Provisional);
            match Connection::open(self.client, address, host, trust).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => faults.push(fault),
            }
        }
        Err(Fault::Each(faults))
    }

    /// Notes now and then how much is certainly on disk.
    async fn note(&mut self) -> std::io::Result<()> {
        let every = self.client.settings.keep_partial_every;
        if let Some(entity_tag) = &self.entity_tag
            && self.client.settings.keep_partial_images
            && self.received - self.noted >= every
        {
            self.file.flush().await?;
            self.file.sync_data().await?;
            self.place.note(self.received, entity_tag).await?;
            self.noted = self.received;
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), Broken> {
        if self.received > 0 {
            self.hasher = Sha256::new();
            self.received = 0;
            self.told = 0;
            self.noted = 0;
            self.place.forget();
            let emptied = async {
                self.file.set_len(0).await?;
                self.file.rewind().await
            };
            emptied
                .await
                .map_err(|error| Broken::Final(file_fault(error)))?;
        }
        Ok(())
    }
}

fn image_url(uri: &str) -> Result<Url, Fault> {
    let fault = |reason| Fault::Uri {
        uri: uri.chars().take(200).collect(),
        reason,
    };
    let url = Url::parse(uri).map_err(|_| fault("it is malformed"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault("it is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("it holds a user name or password"));
    }
    Ok(url)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The first octet and the length of the whole in `bytes 5-9/10` (RFC 9110 §14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn file_fault(error: std::io::Error) -> Fault {
    Fault::File(error.to_string())
}

/// Before a download is gone on with.
const PAUSE: Duration = Duration::from_millis(50);

/// Octets between two words about the progress.
const TELL_EVERY: u64 = 1024 * 1024;
