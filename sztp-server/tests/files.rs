//! Images: uploaded as a stream, served whole and in parts.

mod harness;

use std::fs;
use std::process::Command;

use harness::Rig;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Octets that repeat nowhere near, so that a wrong part is seen.
fn image(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(size)
    .collect()
}

fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect::<Vec<_>>()
        .concat()
}

fn upload(rig: &Rig, name: &str, content: &[u8]) -> harness::Answer {
    rig.admin()
        .data(content)
        .send(&format!("/api/v1/images?name={name}"))
}

#[test]
fn an_image_is_stored_once_under_the_hash_of_its_content() {
    let rig = Rig::start();
    let content = image(300_000);
    let sha256 = hex(&Sha256::digest(&content));
    let answer = upload(&rig, "os-1.2.bin", &content);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["sha256"], sha256);
    assert_eq!(answer.json()["size"], 300_000);
    assert_eq!(
        fs::read(rig.path("data/images").join(&sha256)).expect("the file"),
        content
    );

    let again = upload(&rig, "os-1.2.bin", &content);
    assert_eq!(again.status, 201, "the same again is no error");
    let other = upload(&rig, "os-1.2.bin", b"other");
    assert_eq!(
        (other.status, other.json()["code"].clone()),
        (409, json!("image.exists"))
    );
    let same_content = upload(&rig, "copy.bin", &content);
    assert_eq!(same_content.status, 201);
    let files = fs::read_dir(rig.path("data/images"))
        .expect("the directory")
        .count();
    assert_eq!(files, 1, "nothing is left of what was refused");
    for bad in ["", "..%2f..%2fetc", ".hidden", "a%20b"] {
        assert_eq!(upload(&rig, bad, b"x").status, 400, "{bad}");
    }
    let listed = rig.admin().send("/api/v1/images").json();
    assert_eq!(
        listed["items"].as_array().expect("items").len(),
        2,
        "{listed}"
    );

    // A device needs it; then none does.
    rig.add(
        &json!({"serial_number": "A", "answer": {"kind": "onboarding",
        "boot_image": {"image": "os-1.2.bin"}}}),
    );
    let delete = |name: &str| {
        rig.admin()
            .method("DELETE")
            .send(&format!("/api/v1/images/{name}"))
    };
    assert_eq!(delete("os-1.2.bin").json()["code"], "image.in-use");
    assert_eq!(
        rig.admin()
            .method("DELETE")
            .send("/api/v1/devices/A")
            .status,
        204
    );
    assert_eq!(delete("os-1.2.bin").status, 204);
    assert!(
        rig.path("data/images").join(&sha256).exists(),
        "the other name has it still"
    );
    assert_eq!(delete("copy.bin").status, 204);
    assert!(!rig.path("data/images").join(&sha256).exists());
    assert_eq!(delete("copy.bin").status, 404);
    let unknown = rig
        .admin()
        .data(
            json!({"serial_number": "B", "answer": {"kind": "onboarding",
                "boot_image": {"image": "none"}}})
            .to_string(),
        )
        .send("/api/v1/devices");
    assert_eq!(
        (unknown.status, unknown.json()["code"].clone()),
        (404, json!("image.missing"))
    );
}

#[test]
fn an_image_over_the_limit_leaves_nothing() {
    let rig = Rig::start_with(|config| config.limits.max_image_bytes = 100_000);
    let answer = rig
        .admin()
        .header("Transfer-Encoding: chunked")
        .data(image(100_001))
        .send("/api/v1/images?name=big");
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (413, json!("image.too-large"))
    );
    assert_eq!(
        fs::read_dir(rig.path("data/images"))
            .expect("the directory")
            .count(),
        0
    );
    assert_eq!(upload(&rig, "fits", &image(100_000)).status, 201);
}

#[test]
fn files_are_served_whole_and_in_single_ranges() {
    let rig = Rig::start();
    let content = image(1_000_000);
    let sha256 = hex(&Sha256::digest(&content));
    assert_eq!(upload(&rig, "os.bin", &content).status, 201);
    let path = format!("/files/{sha256}/os.bin");
    let etag = format!("\"{sha256}\"");

    let whole = rig.anonymous().send(&path);
    assert_eq!((whole.status, &whole.body), (200, &content));
    assert_eq!(whole.header("etag"), etag);
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-length"), "1000000");

    let head = rig.anonymous().argument("--head").send(&path);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, "1000000")
    );
    assert_eq!(head.header("etag"), etag);
    assert!(!head.body.ends_with(&content[999_000..]));

    let get = |headers: &[&str]| {
        headers
            .iter()
            .fold(rig.anonymous(), |request, header| request.header(header))
            .send(&path)
    };
    for (range, expected, content_range) in [
        ("bytes=0-0", &content[..1], "bytes 0-0/1000000"),
        (
            "bytes=65535-65536",
            &content[65_535..=65_536],
            "bytes 65535-65536/1000000",
        ),
        (
            "bytes=999990-",
            &content[999_990..],
            "bytes 999990-999999/1000000",
        ),
        (
            "bytes=-10",
            &content[999_990..],
            "bytes 999990-999999/1000000",
        ),
        ("bytes=5-99999999", &content[5..], "bytes 5-999999/1000000"),
    ] {
        let part = get(&[&format!("Range: {range}")]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.body, expected, "{range}");
        assert_eq!(part.header("content-range"), content_range);
        assert_eq!(part.header("content-length"), expected.len().to_string());
    }
    let beyond = get(&["Range: bytes=1000000-"]);
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, "bytes */1000000")
    );
    assert_eq!(get(&["Range: bytes=0-1,5-6"]).status, 200);
    assert_eq!(
        get(&["Range: bytes=0-1", &format!("If-Range: {etag}")]).status,
        206
    );
    assert_eq!(
        get(&["Range: bytes=0-1", "If-Range: \"other\""]).status,
        200
    );
    assert_eq!(get(&[&format!("If-None-Match: {etag}")]).status, 304);

    let of = |path: &str| rig.anonymous().send(path).status;
    assert_eq!(of(&format!("/files/{sha256}/other.bin")), 404);
    assert_eq!(of(&format!("/files/{}/os.bin", "0".repeat(64))), 404);
    assert_eq!(of(&format!("/files/{sha256}/../../sztp.db")), 404);
    assert_eq!(of("/files/%2e%2e/sztp.db"), 404);
    assert_eq!(of("/files/"), 404);
    let put = rig.anonymous().method("PUT").data("x").send(&path);
    assert_eq!(
        (put.status, put.header("allow")),
        (405, "GET, HEAD, OPTIONS")
    );
}

#[test]
fn curl_resumes_a_download() {
    let rig = Rig::start();
    let content = image(3_000_000);
    let sha256 = hex(&Sha256::digest(&content));
    assert_eq!(upload(&rig, "os.bin", &content).status, 201);
    let partial = rig.write("partial", &content[..1_234_567]);
    let port = rig.server().device_addr().port();
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--continue-at",
            "-",
            "--cacert",
        ])
        .arg(rig.path("data/lab/server/tls-ca.crt"))
        .arg("--output")
        .arg(&partial)
        .args(["--write-out", "%{http_code} %{size_download}"])
        .arg(format!("https://localhost:{port}/files/{sha256}/os.bin"))
        .output()
        .expect("this test needs the program curl");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "206 1765433");
    assert_eq!(fs::read(&partial).expect("the file"), content);
}

#[test]
fn who_takes_nothing_is_left_alone() {
    let rig = Rig::start_with(|config| {
        config.limits.stall_timeout_secs = 1;
        config.limits.max_connections = 2;
    });
    let content = image(20_000_000);
    let sha256 = hex(&Sha256::digest(&content));
    assert_eq!(upload(&rig, "os.bin", &content).status, 201);
    let url = format!(
        "https://localhost:{}/files/{sha256}/os.bin",
        rig.server().device_addr().port()
    );
    // Two that begin and then take nothing: all the connections there are.
    let mut sleepers: Vec<_> = (0..2)
        .map(|_| {
            Command::new("curl")
                .args([
                    "--silent",
                    "--limit-rate",
                    "1",
                    "--output",
                    "/dev/null",
                    "--cacert",
                ])
                .arg(rig.path("data/lab/server/tls-ca.crt"))
                .arg(&url)
                .spawn()
                .expect("curl")
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let answer = rig.anonymous().send("/.well-known/host-meta");
    assert_eq!(answer.status, 200);
    for sleeper in &mut sleepers {
        let _ = sleeper.kill();
        let _ = sleeper.wait();
    }
}
