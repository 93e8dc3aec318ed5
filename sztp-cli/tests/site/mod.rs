//! A bootstrap server of a lab, and beside it a device that has everything but a server to go to.

use std::os::unix::fs::PermissionsExt as _;

use sztp_server::model::{Answer, Blob, BootImageSpec, DeviceSpec, Handling, OnboardingSpec};
use sztp_server::{Config, Server};
use tokio::runtime::Runtime;

use crate::workbench::{Ran, Workbench};

pub(crate) const SERIAL: &str = "AX7-00042";
/// Who the device is, as options.
pub(crate) const DEVICE: &str = "--idevid-cert data/lab/devices/AX7-00042/idevid.crt --idevid-key \
    data/lab/devices/AX7-00042/idevid.key --voucher-anchor data/lab/vendor/root.crt --state-dir state";

/// A server, and beside it a device that has everything but a server to go to.
pub(crate) struct Site {
    pub(crate) bench: Workbench,
    runtime: Runtime,
    server: Option<Server>,
}

impl Site {
    pub(crate) fn start(onboarding: OnboardingSpec) -> Self {
        Self::answering(Answer::Onboarding(onboarding))
    }

    pub(crate) fn answering(answer: Answer) -> Self {
        Self::known_as("localhost", answer, |_| {})
    }

    /// A server that has a certificate for this host, configured as wanted.
    pub(crate) fn known_as(
        host: &str,
        answer: Answer,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let bench = Workbench::new();
        // A fresh lab, as validity is judged by this machine's clock.
        bench
            .run(&format!("pki init data/lab --server-name {host}"))
            .ok();
        bench
            .run(&format!("pki idevid data/lab --serial-number {SERIAL}"))
            .ok();
        bench
            .run(&format!(
                "voucher issue --serial-number {SERIAL} --pinned-domain-cert \
                 data/lab/owner/pinned-domain-ca.crt --signer-cert data/lab/vendor/masa.crt \
                 --signer-key data/lab/vendor/masa.key --out voucher.vcj"
            ))
            .ok();
        let spec = spec(&bench, answer);
        let runtime = Runtime::new().expect("a runtime");
        let mut config = Config::loopback(bench.path("data"));
        configure(&mut config);
        let server = runtime.block_on(async {
            let server = Server::start(config).await.expect("a server");
            server
                .service()
                .add_image("axos.bin", IMAGE)
                .await
                .expect("an image");
            server
                .service()
                .add_device(SERIAL, spec)
                .await
                .expect("a device");
            server
        });
        Self {
            bench,
            runtime,
            server: Some(server),
        }
    }

    /// The agent of a device that knows the server's authority.
    pub(crate) fn run(&self, more: &str) -> Ran {
        self.run_untrusting(&format!(
            "--server-ca data/lab/server/tls-ca.crt{}",
            spaced(more)
        ))
    }

    pub(crate) fn run_untrusting(&self, more: &str) -> Ran {
        self.bench.run(&format!(
            "agent run --server {} {DEVICE}{}",
            self.url(),
            spaced(more)
        ))
    }

    pub(crate) fn url(&self) -> String {
        self.server
            .as_ref()
            .expect("running")
            .public_url()
            .to_owned()
    }

    /// What the operator puts to a path of the admin API.
    pub(crate) fn put(&self, path: &str, content_type: &str, body: &str) {
        let server = self.server.as_ref().expect("running");
        self.bench.write("body", body);
        self.bench.write(
            "curl.conf",
            format!(
                "url = \"https://localhost:{}/api/v1/{path}\"\nrequest = PUT\nsilent\nshow-error\n\
                 cacert = \"data/lab/server/tls-ca.crt\"\nfail-with-body\ndata-binary = \"@body\"\n\
                 header = \"Authorization: Bearer {}\"\nheader = \"Content-Type: {content_type}\"\n",
                server.admin_addr().port(),
                self.text("data/admin-token").trim()
            ),
        );
        let ran = self.bench.run_other("curl", "--config curl.conf");
        ran.expect("curl is installed").ok();
    }

    /// Sets what the device is to become.
    pub(crate) fn give(&self, answer: Answer) {
        let server = self.server.as_ref().expect("running");
        let put = server
            .service()
            .put_device(SERIAL, spec(&self.bench, answer));
        self.runtime.block_on(put).expect("a device");
    }

    pub(crate) fn device_state(&self) -> String {
        let server = self.server.as_ref().expect("running");
        let device = self.runtime.block_on(server.service().device(SERIAL));
        device.expect("a device").state
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.bench.read(name)).expect("text")
    }

    /// A hook that writes down how it was called, and ends with a status.
    pub(crate) fn hook(&self, name: &str, status: u8) {
        let script = format!(
            "#!/bin/sh\necho \"$SZTP_EVENT $SZTP_STAGE$SZTP_HANDLING\" >> {log}\n\
             if [ -n \"$SZTP_FILE\" ]; then cat \"$SZTP_FILE\" >> {log}; fi\n\
             cat > {name}.json\n[ \"$SZTP_EVENT\" = roll-back ] || exit {status}\n",
            log = self.bench.path("log").display(),
            name = self.bench.path(name).display(),
        );
        self.bench.write(name, script);
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(self.bench.path(name), mode).expect("a mode");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

fn spec(bench: &Workbench, answer: Answer) -> DeviceSpec {
    DeviceSpec {
        answer,
        voucher: Some(Blob(bench.read("voucher.vcj"))),
        ..DeviceSpec::default()
    }
}

pub(crate) fn everything(script: &str) -> OnboardingSpec {
    let script = Some(Blob(format!("#!/bin/sh\n{script}\n").into_bytes()));
    OnboardingSpec {
        boot_image: Some(BootImageSpec {
            image: Some("axos.bin".to_owned()),
            os_name: Some("AxOS".to_owned()),
            os_version: Some("9.4.1".to_owned()),
            ..BootImageSpec::default()
        }),
        pre_configuration_script: script.clone(),
        post_configuration_script: Some(Blob(b"#!/bin/sh\ntrue\n".to_vec())),
        ..configuration()
    }
}

pub(crate) fn configuration() -> OnboardingSpec {
    OnboardingSpec {
        configuration_handling: Some(Handling::Replace),
        configuration: Some(Blob(b"hostname edge-42\n".to_vec())),
        ..OnboardingSpec::default()
    }
}

fn spaced(more: &str) -> String {
    if more.is_empty() {
        String::new()
    } else {
        format!(" {more}")
    }
}

pub(crate) const IMAGE: &[u8] = b"an image of AxOS 9.4.1\n";
