//! Who the database is and who may use it: TLS by the URL, passwords from where they may be, and
//! neither said to anybody.

mod harness;

use harness::now;
use harness::postgres::Postgres;
use sztp_server::config::{DatabaseConfig, DatabaseUrl};
use sztp_server::lab::{LabOptions, LabPki};
use sztp_server::store::{AccessStore as _, Database};
use sztp_server::{Config, Server, StoreError};

const PASSWORD: &str = "gr\u{fc}n geheim/2";

#[test]
fn the_server_is_who_the_url_says_and_the_user_knows_the_password() {
    let Some(postgres) = Postgres::start_with_tcp(&["fsync=off"]) else {
        return;
    };
    let (lab, other) = (lab(), lab());
    postgres.write("server.crt", &lab.tls.certificate.to_pem());
    postgres.write("server.key", &lab.tls.key.to_pkcs8_pem().expect("PEM"));
    postgres.write(
        "pg_hba.conf",
        "local all sztp trust\nhostssl all visitor 127.0.0.1/32 scram-sha-256\n",
    );
    postgres.sql("postgres", "ALTER SYSTEM SET ssl = on");
    postgres.sql(
        "postgres",
        &format!("CREATE ROLE visitor LOGIN PASSWORD '{PASSWORD}'"),
    );
    postgres.sql(
        "postgres",
        "CREATE DATABASE visited OWNER visitor TEMPLATE template0",
    );
    postgres.sql("postgres", "SELECT pg_reload_conf()");
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    };
    let anchor = write("ca.crt", &lab.tls_ca.certificate.to_pem());
    let wrong_anchor = write("other.crt", &other.tls_ca.certificate.to_pem());
    let config = |password: &str| DatabaseConfig {
        password_file: Some(write("password", password)),
        ..DatabaseConfig::default()
    };
    let port = postgres.port();
    let url =
        |host: &str, query: String| format!("postgres://visitor@{host}:{port}/visited?{query}");
    let by = |path: &std::path::Path| format!("sslmode=verify-full&sslrootcert={}", path.display());
    let open = |url: &str, password: &str| Database::postgres(url, &config(password));

    // The server has to have read its configuration.
    let good = url("localhost", by(&anchor));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let store = loop {
        match open(&good, &format!("{PASSWORD}\n")) {
            Ok(store) => break store,
            Err(error) if std::time::Instant::now() > deadline => panic!("{error}"),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    assert_eq!(runtime.block_on(store.last_event()), Ok(0));
    let tls = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE usename = 'visitor'";
    assert_eq!(postgres.sql("postgres", tls), "t");
    drop(store);
    let in_url = good.replace("visitor@", "visitor:gr%C3%BCn%20geheim%2F2@");
    assert!(Database::postgres(&in_url, &DatabaseConfig::default()).is_ok());
    let unverified = url("localhost", "sslmode=require".to_owned());
    assert!(open(&unverified, PASSWORD).is_ok());

    for (url, password) in [
        (url("localhost", by(&wrong_anchor)), PASSWORD),
        (
            url("db.example", format!("hostaddr=127.0.0.1&{}", by(&anchor))),
            PASSWORD,
        ),
        // The server takes no connection without TLS.
        (url("localhost", "sslmode=disable".to_owned()), PASSWORD),
        (good.clone(), "wrong geheim"),
    ] {
        let error = open(&url, password).expect_err(&url);
        let text = format!("{error} {error:?}");
        assert!(!text.contains("geheim"), "{text}");
        assert_ne!(error.code(), "store.address", "{url}: {text}");
    }
    let error = Database::postgres(&good, &DatabaseConfig::default()).expect_err("no password");
    assert!(!matches!(error, StoreError::Address { .. }), "{error}");
}

#[test]
fn a_server_without_its_database_says_so_and_does_not_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = Config::loopback(directory.path().join("data"));
    let url = "postgres://u:geheim@127.0.0.1:1/d".to_owned();
    config.database.url = Some(DatabaseUrl(url));
    assert!(!format!("{config:?}").contains("geheim"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // Nothing is wrong with what it is told.
    assert!(runtime.block_on(Server::check(config.clone())).is_ok());
    let error = runtime
        .block_on(Server::start(config.clone()))
        .expect_err("nobody is there");
    assert_eq!(error.code(), "store.unavailable");
    assert!(!format!("{error} {error:?}").contains("geheim"));
    config.database.url = Some(DatabaseUrl("postgres://u@h/d?sslmode=perhaps".to_owned()));
    let error = runtime
        .block_on(Server::check(config))
        .expect_err("no such mode");
    assert_eq!(error.code(), "store.address");
}

fn lab() -> LabPki {
    LabPki::generate(&LabOptions::new(now())).expect("a lab")
}
