//! What to make of a server's answer (RFC 8572 §5.3).

use sztp_cms::WallClock;
use sztp_voucher::yang::Encoding;
use sztp_voucher::{NonceExpectation, VerifiedVoucher, VoucherContext, VoucherError};

use super::{Device, FailureKind, Input, Step};
use crate::artifacts::{
    ArtifactError, Authenticated, BootstrappingData, DecryptionKey, SourceTrust, Trust,
    TrustedConveyedInfo,
};
use crate::conveyed_info::ConveyedInfo;
use crate::restconf::{Errors, encoding_of};
use crate::rpc::{GetBootstrappingDataOutput, ProgressType, ReportingLevel};

impl Device {
    pub(super) fn take_answer(&mut self, clock: WallClock, input: Input) {
        let (status, content_type, body) = match input {
            Input::Response {
                status,
                content_type,
                retry_after,
                body,
            } => {
                if status != 200 {
                    self.note_retry_after(retry_after);
                }
                (status, content_type, body)
            }
            Input::Unreachable(why) => return self.note_failure(FailureKind::Unreachable(why)),
            Input::Failed { reason } => {
                return self.note_failure(FailureKind::Unreachable(reason.into()));
            }
            _ => {
                let reason = "the request was not made".to_owned();
                return self.note_failure(FailureKind::Unreachable(reason.into()));
            }
        };
        let Some(asked) = self.contact.as_ref().map(|contact| contact.encoding) else {
            return;
        };
        let encoding = content_type.as_deref().map_or(Some(asked), encoding_of);
        if status != 200 {
            if matches!(status, 406 | 415) && self.ask_again(asked) {
                return;
            }
            let errors = Errors::decode(&body, encoding.unwrap_or(asked)).ok();
            if status == 400 && self.take_csr_request(errors.as_ref()) {
                return;
            }
            return self.note_failure(FailureKind::Refused { status, errors });
        }
        let Some(encoding) = encoding else {
            let content_type = content_type.unwrap_or_default().chars().take(80).collect();
            return self.note_failure(FailureKind::NotRestconf { content_type });
        };
        let judged = self.judge_answer(clock, &body, encoding);
        self.take_judgement(judged);
    }

    /// Acts on data, follows it, or refuses it.
    pub(super) fn take_judgement(&mut self, judged: Result<Authenticated, FailureKind>) {
        match judged {
            Ok(Authenticated::Trusted(trusted)) => self.take_trusted(trusted),
            Ok(Authenticated::UntrustedRedirect { redirect, refused }) => {
                if let Some(error) = refused {
                    let message = Some(error.to_string());
                    let warning = self.report(ProgressType::ParsingWarning, message);
                    self.plan_first([warning]);
                    self.note_failure(error.into());
                }
                self.follow(redirect, false);
            }
            Err(kind) => self.refuse(kind),
        }
    }

    /// Whether the server is going to be asked in the other encoding (RFC 8040 §5.2).
    fn ask_again(&mut self, asked: Encoding) -> bool {
        let Some(contact) = self.contact.as_mut().filter(|contact| !contact.asked_again) else {
            return false;
        };
        contact.asked_again = true;
        contact.encoding = match asked {
            Encoding::Json => Encoding::Xml,
            Encoding::Xml => Encoding::Json,
        };
        self.plan_first([Some(Step::Ask)]);
        true
    }

    fn judge_answer(
        &mut self,
        clock: WallClock,
        body: &[u8],
        encoding: Encoding,
    ) -> Result<Authenticated, FailureKind> {
        let output = GetBootstrappingDataOutput::decode(body, encoding)?;
        if let Some(contact) = &mut self.contact {
            contact.verbose = output.reporting_level == Some(ReportingLevel::Verbose);
        }
        self.judge(clock, &output.into(), encoding)
    }

    /// What may be done with the data of the current source. `encoding` is for content that does
    /// not say whether it is JSON or XML.
    pub(super) fn judge(
        &mut self,
        clock: WallClock,
        data: &BootstrappingData,
        encoding: Encoding,
    ) -> Result<Authenticated, FailureKind> {
        let source = if self.server_is_authenticated() {
            SourceTrust::Authenticated
        } else {
            SourceTrust::Unauthenticated
        };
        let keys: Vec<DecryptionKey<'_>> = self
            .config
            .decryption
            .iter()
            .map(|own| DecryptionKey {
                key: own.key.as_ref(),
                certificate: &own.certificate,
                policy: own.policy,
            })
            .collect();
        let decrypted = data.decrypt(&keys)?;
        let context = VoucherContext {
            serial_number: Some(&self.config.serial_number),
            idevid: self.config.idevid.as_ref(),
            nonce: match &self.config.nonce {
                Some(nonce) => NonceExpectation::ExactOrNone(nonce),
                None => NonceExpectation::None,
            },
            expiry_needs_clock: self.config.expiry_needs_clock,
            assertions: &self.config.assertions,
            leniency: self.config.leniency,
            ..VoucherContext::new(&self.config.voucher_anchors, clock)
        };
        let answer = decrypted.data.authenticate(source, &context, encoding)?;
        if let Authenticated::Trusted(trusted) = &answer
            && let Trust::Signed { voucher, .. } = trusted.how()
        {
            self.accept_voucher(clock, voucher)?;
        }
        Ok(answer)
    }

    /// What a voucher must fulfil that only the device can judge.
    fn accept_voucher(
        &mut self,
        clock: WallClock,
        voucher: &VerifiedVoucher,
    ) -> Result<(), FailureKind> {
        let says = voucher.voucher();
        if says.idevid_issuer.is_some() && self.config.idevid.is_none() {
            return Err(refused(VoucherError::IdevidIssuerMismatch));
        }
        // A device without a clock still knows what is past for certain (RFC 8572 §9.1).
        if clock == WallClock::Unknown
            && let (Some(floor), Some(expires_on)) = (self.config.clock_floor, says.expires_on)
            && expires_on < floor
        {
            return Err(refused(VoucherError::Expired {
                at: floor,
                expires_on,
            }));
        }
        self.config.clock_floor = self.config.clock_floor.max(Some(says.created_on));
        Ok(())
    }

    fn take_trusted(&mut self, trusted: TrustedConveyedInfo) {
        let mut notes = Vec::new();
        if let Trust::Signed { voucher, .. } = trusted.how() {
            notes.extend_from_slice(voucher.notes());
            if let Some(contact) = &mut self.contact {
                contact.signed = true;
            }
        }
        match trusted.into_info() {
            // Reports are about onboarding information alone (RFC 8572 §5.6, §7.3).
            ConveyedInfo::Redirect(redirect) => self.follow(redirect, true),
            ConveyedInfo::Onboarding(info) => self.onboard(info, &notes),
        }
    }

    /// The data of the current server is refused; it is told so if it was authenticated.
    fn refuse(&mut self, kind: FailureKind) {
        let reports = [
            self.report(ProgressType::BootstrapInitiated, None),
            self.report(ProgressType::ParsingInitiated, None),
            self.report(ProgressType::ParsingError, Some(kind.to_string())),
        ];
        self.plan_first(reports);
        self.note_failure(kind);
    }
}

fn refused(error: VoucherError) -> FailureKind {
    FailureKind::Artifacts(ArtifactError::Voucher(error))
}
