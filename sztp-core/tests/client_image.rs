//! Downloads of images: hashed while they arrive, resumed when they break, bounded, and from
//! nowhere but the URIs given.

#![cfg(feature = "client")]

mod pair;
mod tls;

use std::sync::atomic::{AtomicUsize, Ordering};

use http::header;
use pair::{running, trusting, unsigned};
use sha2::{Digest, Sha256};
use sztp_core::client::Settings;
use sztp_core::conveyed_info::{BootImage, ConveyedInfo, ImageVerification, OnboardingInformation};
use sztp_core::device::{Device, Outcome};
use sztp_core::rpc::ReportingLevel;
use tls::{Answer, HOST, Recorder, Seen, Server, at_port, client};

fn image() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_be_bytes).collect()
}

/// What came of an image from these URIs: the outcome, the platform, what is left of files.
async fn install(uris: &[String], edit: impl FnOnce(&mut Settings)) -> (Outcome, Recorder, usize) {
    let info = OnboardingInformation {
        boot_image: Some(BootImage {
            os_name: Some("AxOS".to_owned()),
            os_version: Some("2.0".to_owned()),
            download_uris: uris.to_vec(),
            image_verification: vec![ImageVerification::sha256(Sha256::digest(image()).into())],
        }),
        ..OnboardingInformation::default()
    };
    let data = unsigned(&ConveyedInfo::Onboarding(info), ReportingLevel::Minimal);
    let server = Server::of(HOST, tls::bootstrap_server(move |_| data.clone())).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let client = client(|settings| {
        directory
            .path()
            .clone_into(&mut settings.download_directory);
        edit(settings);
    });
    let mut device = Device::new(at_port(trusting(HOST), server.address.port()));
    let mut platform = Recorder {
        after_reboot: Some(running("2.0")),
        ..Recorder::default()
    };
    let outcome = client.run(&mut device, &mut platform, |_| {}).await;
    let left = std::fs::read_dir(directory.path())
        .expect("still there")
        .count();
    (outcome, platform, left)
}

fn installed(result: &(Outcome, Recorder, usize)) {
    let (outcome, platform, left) = result;
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    assert_eq!(platform.trace, ["install", "reboot with 1 installed"]);
    assert!(platform.installed.as_deref() == Some(&image()[..]));
    assert_eq!(*left, 0, "no file is left behind");
    #[cfg(unix)]
    assert_eq!(platform.mode, 0o600);
}

fn failed(result: &(Outcome, Recorder, usize), reason: &str) {
    let (outcome, platform, left) = result;
    let Outcome::Failed(failures) = outcome else {
        panic!("{outcome:?}");
    };
    let text = failures[0].to_string();
    assert!(text.contains(reason), "{text}");
    assert!(platform.trace.is_empty());
    assert_eq!(*left, 0, "no file is left behind");
}

/// Serves ranges as it should; breaks each of the first `breaks` answers in their middle.
fn ranges(breaks: usize, entity_tag: &'static str) -> impl Fn(&Seen) -> Answer {
    let count = AtomicUsize::new(0);
    move |seen| {
        let whole = image();
        let range = seen.header(header::RANGE);
        let if_range = seen.header(header::IF_RANGE);
        let first: Option<usize> = range
            .strip_prefix("bytes=")
            .and_then(|range| range.strip_suffix('-'))
            .filter(|_| if_range.is_empty() || if_range == entity_tag)
            .map(|first| first.parse().expect("a number"));
        let mut answer = match first {
            None => Answer::with(200, "application/octet-stream", whole),
            Some(first) => Answer::with(206, "application/octet-stream", whole[first..].to_vec())
                .header(
                    header::CONTENT_RANGE,
                    &format!("bytes {first}-{}/{}", whole.len() - 1, whole.len()),
                ),
        };
        if count.fetch_add(1, Ordering::SeqCst) < breaks {
            answer.breaks_after = Some(answer.body.len() / 2);
        }
        answer.header(header::ETAG, entity_tag)
    }
}

fn uri(scheme: &str, server: &Server) -> String {
    format!("{scheme}://{}/axos.bin?x=1", server.address)
}

#[tokio::test]
async fn over_https_from_a_server_that_nobody_knows_and_over_http() {
    // LEDGER: 8572-5.6-24
    let key = pair::key();
    let certificate = pair::root("CN=Mirror", &key);
    let secure = Server::tls(&[certificate], &key, ranges(0, "\"1\"")).await;
    installed(&install(&[uri("https", &secure)], |_| {}).await);
    assert_eq!(secure.seen()[0].path, "/axos.bin?x=1");
    let plain = Server::plain(ranges(0, "\"1\"")).await;
    installed(&install(&[uri("http", &plain)], |_| {}).await);
}

#[tokio::test]
async fn a_broken_download_is_gone_on_with() {
    let server = Server::plain(ranges(3, "\"1\"")).await;
    installed(&install(&[uri("http", &server)], |_| {}).await);
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].header(header::RANGE), "");
    let mut last = 0;
    for request in &seen[1..] {
        let range = request.header(header::RANGE);
        let first = range
            .strip_prefix("bytes=")
            .and_then(|r| r.strip_suffix('-'));
        let first: usize = first.expect("a range").parse().expect("a number");
        assert!(first > last, "goes on where it broke: {range}");
        assert_eq!(request.header(header::IF_RANGE), "\"1\"");
        last = first;
    }
}

#[tokio::test]
async fn a_server_without_ranges_begins_anew() {
    let count = AtomicUsize::new(0);
    let server = Server::plain(move |_| {
        let mut answer = Answer::with(200, "application/octet-stream", image());
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            answer.breaks_after = Some(1000);
        }
        answer
    })
    .await;
    installed(&install(&[uri("http", &server)], |_| {}).await);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_rest_of_another_version_is_not_taken() {
    let count = AtomicUsize::new(0);
    let good = ranges(0, "\"2\"");
    let server = Server::plain(move |seen| {
        if count.fetch_add(1, Ordering::SeqCst) > 0 {
            return good(seen);
        }
        let mut answer = Answer::with(200, "application/octet-stream", vec![0; 500_000])
            .header(header::ETAG, "\"1\"");
        answer.breaks_after = Some(250_000);
        answer
    })
    .await;
    installed(&install(&[uri("http", &server)], |_| {}).await);
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_not_taken() {
    let server = Server::plain(|seen| {
        let whole = image();
        let end = format!("bytes 7-{}/{}", whole.len() - 1, whole.len());
        if seen.header(header::RANGE).is_empty() {
            let mut answer = Answer::with(200, "application/octet-stream", whole);
            answer.breaks_after = Some(5000);
            return answer;
        }
        Answer::with(206, "application/octet-stream", whole[7..].to_vec())
            .header(header::CONTENT_RANGE, &end)
    })
    .await;
    let result = install(&[uri("http", &server)], |settings| {
        settings.max_resumptions = 2;
    })
    .await;
    failed(&result, "interrupted too often");
}

#[tokio::test]
async fn a_download_that_never_gets_further_is_given_up() {
    let server = Server::plain(|_| {
        let mut answer = Answer::with(200, "application/octet-stream", image());
        answer.breaks_after = Some(5000);
        answer
    })
    .await;
    let result = install(&[uri("http", &server)], |settings| {
        settings.max_resumptions = 2;
    })
    .await;
    failed(&result, "interrupted too often");
}

#[tokio::test]
async fn a_download_that_stalls_is_given_up() {
    let server = Server::plain(|_| Answer {
        stalls_after: Some(5000),
        ..Answer::with(200, "application/octet-stream", image())
    })
    .await;
    let result = install(&[uri("http", &server)], |settings| {
        settings.stall_timeout = std::time::Duration::from_millis(50);
        settings.max_resumptions = 1;
    })
    .await;
    failed(&result, "the next part took longer");
}

#[tokio::test]
async fn an_image_that_is_too_large() {
    let server = Server::plain(ranges(0, "\"1\"")).await;
    let result = install(&[uri("http", &server)], |settings| {
        settings.max_image_octets = 100_000;
    })
    .await;
    failed(&result, "larger than 100000 octets");
}

#[tokio::test]
async fn an_image_with_another_hash_and_then_the_right_one() {
    // LEDGER: 8572-5.6-21, 8572-5.6-22
    let wrong = Server::plain(|_| Answer::with(200, "application/octet-stream", "x")).await;
    let right = Server::plain(ranges(0, "\"1\"")).await;
    installed(&install(&[uri("http", &wrong), uri("http", &right)], |_| {}).await);
    failed(
        &install(&[uri("http", &wrong)], |_| {}).await,
        "its SHA-256 is not the one that was announced",
    );
}

#[tokio::test]
async fn nowhere_but_to_the_uris_given() {
    // LEDGER: 8572-5.6-20
    let lure = Server::plain(ranges(0, "\"1\"")).await;
    let location = uri("http", &lure);
    let server =
        Server::plain(move |_| Answer::status(302).header(header::LOCATION, &location)).await;
    failed(
        &install(&[uri("http", &server)], |_| {}).await,
        "status 302",
    );
    assert!(lure.seen().is_empty());
    for (uri, reason) in [
        ("file:///etc/passwd", "neither http nor https"),
        ("ftp://images.example/x", "neither http nor https"),
        (
            "http://user:secret@images.example/x",
            "user name or password",
        ),
        ("axos.bin", "malformed"),
    ] {
        let result = install(&[uri.to_owned()], |_| {}).await;
        failed(&result, reason);
    }
}

/// A process that ends in the middle, and the next one; what the next one asked for.
async fn interrupted(tag_then: &'static str, tag_now: &'static str) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let stalls = std::sync::atomic::AtomicBool::new(true);
    let (then, now) = (ranges(0, tag_then), ranges(0, tag_now));
    let server = Server::plain(move |seen| {
        if stalls.swap(false, Ordering::SeqCst) {
            let mut answer = then(seen);
            answer.stalls_after = Some(500_000);
            answer
        } else {
            now(seen)
        }
    })
    .await;
    let info = OnboardingInformation {
        boot_image: Some(BootImage {
            os_name: Some("AxOS".to_owned()),
            os_version: Some("2.0".to_owned()),
            download_uris: vec![uri("http", &server)],
            image_verification: vec![ImageVerification::sha256(Sha256::digest(image()).into())],
        }),
        ..OnboardingInformation::default()
    };
    let data = unsigned(&ConveyedInfo::Onboarding(info), ReportingLevel::Minimal);
    let bootstrap = Server::of(HOST, tls::bootstrap_server(move |_| data.clone())).await;
    let client = client(|settings| {
        directory
            .path()
            .clone_into(&mut settings.download_directory);
        settings.keep_partial_images = true;
        settings.keep_partial_every = 100_000;
        settings.stall_timeout = std::time::Duration::from_mins(1);
    });
    let config = at_port(trusting(HOST), bootstrap.address.port());
    let notes = || {
        let entries = std::fs::read_dir(directory.path()).expect("still there");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".note"))
            .count()
    };
    let (mut device, mut platform) = (Device::new(config.clone()), Recorder::default());
    tokio::select! {
        outcome = client.run(&mut device, &mut platform, |_| {}) => panic!("{outcome:?}"),
        () = async {
            while notes() == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        } => {}
    }
    assert_eq!(notes(), 1);
    let mut platform = Recorder {
        after_reboot: Some(running("2.0")),
        ..Recorder::default()
    };
    let outcome = client
        .run(&mut Device::new(config), &mut platform, |_| {})
        .await;
    let left = std::fs::read_dir(directory.path())
        .expect("still there")
        .count();
    installed(&(outcome, platform, left));
    let seen = server.seen();
    seen[1..]
        .iter()
        .map(|one| {
            let header = |name| one.header(name).to_owned();
            (header(header::RANGE), header(header::IF_RANGE))
        })
        .collect()
}

#[tokio::test]
async fn another_process_goes_on_with_a_download() {
    let asked = interrupted("\"1\"", "\"1\"").await;
    let [(range, tag)] = &asked[..] else {
        panic!("{asked:?}");
    };
    let first = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'));
    let first: usize = first.expect("a range").parse().expect("a number");
    assert!((100_000..=500_000).contains(&first), "{range}");
    assert_eq!(tag, "\"1\"");
}

#[tokio::test]
async fn what_is_left_of_another_version_is_not_gone_on_with() {
    let asked = interrupted("\"0\"", "\"1\"").await;
    assert_eq!(asked.len(), 1, "the server gave the whole: {asked:?}");
    assert_eq!(asked[0].1, "\"0\"");
}
