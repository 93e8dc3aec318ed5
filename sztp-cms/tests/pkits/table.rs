//! The tests of PKITS by section, with what its document says of each.

use der::asn1::ObjectIdentifier;

/// One numbered test, and the name of its files.
pub(crate) struct Test {
    pub(crate) number: &'static str,
    pub(crate) name: &'static str,
    pub(crate) runs: &'static [Run],
}

/// The settings of a test, which some repeat with others, and what must come of it.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    initial_policies: &'static [u8],
    explicit: bool,
    inhibit_mapping: bool,
    inhibit_any: bool,
    pub(crate) expected: Expected,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    Valid,
    /// With this user-constrained-policy-set, by the number at the end of NIST-test-policy-N.
    ValidFor(&'static [u8]),
    /// For the reason that PKITS gives, as the code of our error.
    Invalid(&'static str),
}

impl Run {
    /// initial-policy-set
    const fn of(mut self, policies: &'static [u8]) -> Self {
        self.initial_policies = policies;
        self
    }

    /// initial-explicit-policy
    const fn explicit(mut self) -> Self {
        self.explicit = true;
        self
    }

    /// initial-policy-mapping-inhibit
    const fn no_mapping(mut self) -> Self {
        self.inhibit_mapping = true;
        self
    }

    /// initial-inhibit-any-policy
    const fn no_any_policy(mut self) -> Self {
        self.inhibit_any = true;
        self
    }

    const fn valid_for(mut self, policies: &'static [u8]) -> Self {
        self.expected = Expected::ValidFor(policies);
        self
    }

    const fn invalid(mut self, code: &'static str) -> Self {
        self.expected = Expected::Invalid(code);
        self
    }
}

/// The settings of a run in the types of the library.
pub(crate) struct Policies {
    pub(crate) initial: Vec<ObjectIdentifier>,
    pub(crate) explicit: bool,
    pub(crate) inhibit_mapping: bool,
    pub(crate) inhibit_any: bool,
}

impl Policies {
    pub(crate) fn new(run: &Run) -> Self {
        let policies = run.initial_policies.iter();
        Self {
            initial: policies
                .map(|number| TEST_POLICIES.push_arc(u32::from(*number)).unwrap())
                .collect(),
            explicit: run.explicit,
            inhibit_mapping: run.inhibit_mapping,
            inhibit_any: run.inhibit_any,
        }
    }
}

/// The numbers of test policies; anyPolicy is [`ANY`].
pub(crate) fn numbers(policies: &[ObjectIdentifier]) -> Vec<u8> {
    let number = |policy: &ObjectIdentifier| {
        let last = policy.arcs().last().unwrap_or_default();
        u8::try_from(last).unwrap_or(u8::MAX)
    };
    policies.iter().map(number).collect()
}

const fn test(number: &'static str, name: &'static str, runs: &'static [Run]) -> Test {
    Test { number, name, runs }
}

const DEFAULT: Run = Run {
    initial_policies: &[],
    explicit: false,
    inhibit_mapping: false,
    inhibit_any: false,
    expected: Expected::Valid,
};

/// 2.5.29.32.0
const ANY: u8 = 0;

/// NIST-test-policy-N is one arc longer.
const TEST_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.2.1.48");

#[rustfmt::skip]
pub(crate) const TESTS: &[Test] = &[
    // 4.1 Signature verification
    test("4.1.1", "ValidSignaturesTest1", &[DEFAULT]),
    test("4.1.2", "InvalidCASignatureTest2", &[DEFAULT.invalid("path.bad-signature")]),
    test("4.1.3", "InvalidEESignatureTest3", &[DEFAULT.invalid("path.bad-signature")]),
    test("4.1.4", "ValidDSASignaturesTest4", &[DEFAULT]),
    test("4.1.5", "ValidDSAParameterInheritanceTest5", &[DEFAULT]),
    test("4.1.6", "InvalidDSASignatureTest6", &[DEFAULT.invalid("path.bad-signature")]),
    // 4.2 Validity periods
    test("4.2.1", "InvalidCAnotBeforeDateTest1", &[DEFAULT.invalid("path.not-yet-valid")]),
    test("4.2.2", "InvalidEEnotBeforeDateTest2", &[DEFAULT.invalid("path.not-yet-valid")]),
    test("4.2.3", "Validpre2000UTCnotBeforeDateTest3", &[DEFAULT]),
    test("4.2.4", "ValidGeneralizedTimenotBeforeDateTest4", &[DEFAULT]),
    test("4.2.5", "InvalidCAnotAfterDateTest5", &[DEFAULT.invalid("path.expired")]),
    test("4.2.6", "InvalidEEnotAfterDateTest6", &[DEFAULT.invalid("path.expired")]),
    test("4.2.7", "Invalidpre2000UTCEEnotAfterDateTest7", &[DEFAULT.invalid("path.expired")]),
    test("4.2.8", "ValidGeneralizedTimenotAfterDateTest8", &[DEFAULT]),
    // 4.3 Name chaining
    test("4.3.1", "InvalidNameChainingEETest1", &[DEFAULT.invalid("path.unknown-issuer")]),
    test("4.3.2", "InvalidNameChainingOrderTest2", &[DEFAULT.invalid("path.unknown-issuer")]),
    test("4.3.3", "ValidNameChainingWhitespaceTest3", &[DEFAULT]),
    test("4.3.4", "ValidNameChainingWhitespaceTest4", &[DEFAULT]),
    test("4.3.5", "ValidNameChainingCapitalizationTest5", &[DEFAULT]),
    test("4.3.6", "ValidNameChainingUIDsTest6", &[DEFAULT]),
    test("4.3.7", "ValidRFC3280MandatoryAttributeTypesTest7", &[DEFAULT]),
    test("4.3.8", "ValidRFC3280OptionalAttributeTypesTest8", &[DEFAULT]),
    test("4.3.9", "ValidUTF8StringEncodedNamesTest9", &[DEFAULT]),
    test("4.3.10", "ValidRolloverfromPrintableStringtoUTF8StringTest10", &[DEFAULT]),
    test("4.3.11", "ValidUTF8StringCaseInsensitiveMatchTest11", &[DEFAULT]),
    // 4.4 Basic certificate revocation
    test("4.4.1", "MissingCRLTest1", &[DEFAULT.invalid("crl.not-found")]),
    test("4.4.2", "InvalidRevokedCATest2", &[DEFAULT.invalid("path.revoked")]),
    test("4.4.3", "InvalidRevokedEETest3", &[DEFAULT.invalid("path.revoked")]),
    test("4.4.4", "InvalidBadCRLSignatureTest4", &[DEFAULT.invalid("crl.bad-signature")]),
    test("4.4.5", "InvalidBadCRLIssuerNameTest5", &[DEFAULT.invalid("crl.not-found")]),
    test("4.4.6", "InvalidWrongCRLTest6", &[DEFAULT.invalid("crl.not-found")]),
    test("4.4.7", "ValidTwoCRLsTest7", &[DEFAULT]),
    test("4.4.8", "InvalidUnknownCRLEntryExtensionTest8", &[DEFAULT.invalid("crl.unknown-critical-extension")]),
    test("4.4.9", "InvalidUnknownCRLExtensionTest9", &[DEFAULT.invalid("crl.unknown-critical-extension")]),
    test("4.4.10", "InvalidUnknownCRLExtensionTest10", &[DEFAULT.invalid("crl.unknown-critical-extension")]),
    test("4.4.11", "InvalidOldCRLnextUpdateTest11", &[DEFAULT.invalid("crl.stale")]),
    test("4.4.12", "Invalidpre2000CRLnextUpdateTest12", &[DEFAULT.invalid("crl.stale")]),
    test("4.4.13", "ValidGeneralizedTimeCRLnextUpdateTest13", &[DEFAULT]),
    test("4.4.14", "ValidNegativeSerialNumberTest14", &[DEFAULT]),
    test("4.4.15", "InvalidNegativeSerialNumberTest15", &[DEFAULT.invalid("path.revoked")]),
    test("4.4.16", "ValidLongSerialNumberTest16", &[DEFAULT]),
    test("4.4.17", "ValidLongSerialNumberTest17", &[DEFAULT]),
    test("4.4.18", "InvalidLongSerialNumberTest18", &[DEFAULT.invalid("path.revoked")]),
    test("4.4.19", "ValidSeparateCertificateandCRLKeysTest19", &[DEFAULT]),
    test("4.4.20", "InvalidSeparateCertificateandCRLKeysTest20", &[DEFAULT.invalid("path.revoked")]),
    test("4.4.21", "InvalidSeparateCertificateandCRLKeysTest21", &[DEFAULT.invalid("crl.untrusted-signer")]),
    // 4.5 Paths with self-issued certificates
    test("4.5.1", "ValidBasicSelfIssuedOldWithNewTest1", &[DEFAULT]),
    test("4.5.2", "InvalidBasicSelfIssuedOldWithNewTest2", &[DEFAULT.invalid("path.revoked")]),
    test("4.5.3", "ValidBasicSelfIssuedNewWithOldTest3", &[DEFAULT]),
    test("4.5.4", "ValidBasicSelfIssuedNewWithOldTest4", &[DEFAULT]),
    test("4.5.5", "InvalidBasicSelfIssuedNewWithOldTest5", &[DEFAULT.invalid("path.revoked")]),
    test("4.5.6", "ValidBasicSelfIssuedCRLSigningKeyTest6", &[DEFAULT]),
    test("4.5.7", "InvalidBasicSelfIssuedCRLSigningKeyTest7", &[DEFAULT.invalid("path.revoked")]),
    test("4.5.8", "InvalidBasicSelfIssuedCRLSigningKeyTest8", &[DEFAULT.invalid("path.issuer-not-ca")]),
    // 4.6 Basic constraints
    test("4.6.1", "InvalidMissingbasicConstraintsTest1", &[DEFAULT.invalid("path.issuer-not-ca")]),
    test("4.6.2", "InvalidcAFalseTest2", &[DEFAULT.invalid("path.issuer-not-ca")]),
    test("4.6.3", "InvalidcAFalseTest3", &[DEFAULT.invalid("path.issuer-not-ca")]),
    test("4.6.4", "ValidbasicConstraintsNotCriticalTest4", &[DEFAULT]),
    test("4.6.5", "InvalidpathLenConstraintTest5", &[DEFAULT.invalid("path.length-exceeded")]),
    test("4.6.6", "InvalidpathLenConstraintTest6", &[DEFAULT.invalid("path.length-exceeded")]),
    test("4.6.7", "ValidpathLenConstraintTest7", &[DEFAULT]),
    test("4.6.8", "ValidpathLenConstraintTest8", &[DEFAULT]),
    test("4.6.9", "InvalidpathLenConstraintTest9", &[DEFAULT.invalid("path.length-exceeded")]),
    test("4.6.10", "InvalidpathLenConstraintTest10", &[DEFAULT.invalid("path.length-exceeded")]),
    test("4.6.11", "InvalidpathLenConstraintTest11", &[DEFAULT.invalid("path.length-exceeded")]),
    test("4.6.12", "InvalidpathLenConstraintTest12", &[DEFAULT.invalid("path.length-exceeded")]),
    test("4.6.13", "ValidpathLenConstraintTest13", &[DEFAULT]),
    test("4.6.14", "ValidpathLenConstraintTest14", &[DEFAULT]),
    test("4.6.15", "ValidSelfIssuedpathLenConstraintTest15", &[DEFAULT]),
    test("4.6.16", "InvalidSelfIssuedpathLenConstraintTest16", &[DEFAULT.invalid("path.length-exceeded")]),
    test("4.6.17", "ValidSelfIssuedpathLenConstraintTest17", &[DEFAULT]),
    // 4.7 Key usage
    test("4.7.1", "InvalidkeyUsageCriticalkeyCertSignFalseTest1", &[DEFAULT.invalid("path.issuer-key-usage")]),
    test("4.7.2", "InvalidkeyUsageNotCriticalkeyCertSignFalseTest2", &[DEFAULT.invalid("path.issuer-key-usage")]),
    test("4.7.3", "ValidkeyUsageNotCriticalTest3", &[DEFAULT]),
    test("4.7.4", "InvalidkeyUsageCriticalcRLSignFalseTest4", &[DEFAULT.invalid("crl.signer-key-usage")]),
    test("4.7.5", "InvalidkeyUsageNotCriticalcRLSignFalseTest5", &[DEFAULT.invalid("crl.signer-key-usage")]),
    // 4.8 Certificate policies
    test("4.8.1", "AllCertificatesSamePolicyTest1", &[
        DEFAULT.explicit().valid_for(&[1]),
        DEFAULT.of(&[1]).explicit().valid_for(&[1]),
        DEFAULT.of(&[2]).explicit().invalid("path.policy-required"),
        DEFAULT.of(&[1, 2]).explicit().valid_for(&[1]),
    ]),
    test("4.8.2", "AllCertificatesNoPoliciesTest2", &[
        DEFAULT.valid_for(&[]),
        DEFAULT.explicit().invalid("path.policy-required"),
    ]),
    test("4.8.3", "DifferentPoliciesTest3", &[
        DEFAULT.valid_for(&[]),
        DEFAULT.explicit().invalid("path.policy-required"),
        DEFAULT.of(&[1, 2]).explicit().invalid("path.policy-required"),
    ]),
    test("4.8.4", "DifferentPoliciesTest4", &[DEFAULT.invalid("path.policy-required")]),
    test("4.8.5", "DifferentPoliciesTest5", &[DEFAULT.invalid("path.policy-required")]),
    test("4.8.6", "OverlappingPoliciesTest6", &[
        DEFAULT.valid_for(&[1]),
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[2]).invalid("path.policy-required"),
    ]),
    test("4.8.7", "DifferentPoliciesTest7", &[DEFAULT.invalid("path.policy-required")]),
    test("4.8.8", "DifferentPoliciesTest8", &[DEFAULT.invalid("path.policy-required")]),
    test("4.8.9", "DifferentPoliciesTest9", &[DEFAULT.invalid("path.policy-required")]),
    test("4.8.10", "AllCertificatesSamePoliciesTest10", &[
        DEFAULT.valid_for(&[1, 2]),
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[2]).valid_for(&[2]),
    ]),
    test("4.8.11", "AllCertificatesAnyPolicyTest11", &[
        DEFAULT.valid_for(&[ANY]),
        DEFAULT.of(&[1]).valid_for(&[1]),
    ]),
    test("4.8.12", "DifferentPoliciesTest12", &[DEFAULT.invalid("path.policy-required")]),
    test("4.8.13", "AllCertificatesSamePoliciesTest13", &[
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[2]).valid_for(&[2]),
        DEFAULT.of(&[3]).valid_for(&[3]),
    ]),
    test("4.8.14", "AnyPolicyTest14", &[
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[2]).invalid("path.policy-required"),
    ]),
    test("4.8.15", "UserNoticeQualifierTest15", &[DEFAULT.valid_for(&[1])]),
    test("4.8.16", "UserNoticeQualifierTest16", &[DEFAULT.valid_for(&[1])]),
    test("4.8.17", "UserNoticeQualifierTest17", &[DEFAULT.valid_for(&[1])]),
    test("4.8.18", "UserNoticeQualifierTest18", &[
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[2]).valid_for(&[2]),
    ]),
    test("4.8.19", "UserNoticeQualifierTest19", &[DEFAULT.valid_for(&[1])]),
    test("4.8.20", "CPSPointerQualifierTest20", &[DEFAULT.of(&[1]).explicit().valid_for(&[1])]),
    // 4.9 Require explicit policy
    test("4.9.1", "ValidRequireExplicitPolicyTest1", &[DEFAULT.valid_for(&[])]),
    test("4.9.2", "ValidRequireExplicitPolicyTest2", &[DEFAULT.valid_for(&[])]),
    test("4.9.3", "InvalidRequireExplicitPolicyTest3", &[DEFAULT.invalid("path.policy-required")]),
    test("4.9.4", "ValidRequireExplicitPolicyTest4", &[DEFAULT.valid_for(&[1])]),
    test("4.9.5", "InvalidRequireExplicitPolicyTest5", &[DEFAULT.invalid("path.policy-required")]),
    test("4.9.6", "ValidSelfIssuedrequireExplicitPolicyTest6", &[DEFAULT.valid_for(&[])]),
    test("4.9.7", "InvalidSelfIssuedrequireExplicitPolicyTest7", &[DEFAULT.invalid("path.policy-required")]),
    test("4.9.8", "InvalidSelfIssuedrequireExplicitPolicyTest8", &[DEFAULT.invalid("path.policy-required")]),
    // 4.10 Policy mappings
    test("4.10.1", "ValidPolicyMappingTest1", &[
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[2]).invalid("path.policy-required"),
        DEFAULT.no_mapping().invalid("path.policy-required"),
    ]),
    test("4.10.2", "InvalidPolicyMappingTest2", &[
        DEFAULT.invalid("path.policy-required"),
        DEFAULT.no_mapping().invalid("path.policy-required"),
    ]),
    test("4.10.3", "ValidPolicyMappingTest3", &[
        DEFAULT.of(&[1]).invalid("path.policy-required"),
        DEFAULT.of(&[2]).valid_for(&[2]),
    ]),
    test("4.10.4", "InvalidPolicyMappingTest4", &[DEFAULT.invalid("path.policy-required")]),
    test("4.10.5", "ValidPolicyMappingTest5", &[
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[6]).invalid("path.policy-required"),
    ]),
    test("4.10.6", "ValidPolicyMappingTest6", &[
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[6]).invalid("path.policy-required"),
    ]),
    test("4.10.7", "InvalidMappingFromanyPolicyTest7", &[DEFAULT.invalid("path.malformed-extension")]),
    test("4.10.8", "InvalidMappingToanyPolicyTest8", &[DEFAULT.invalid("path.malformed-extension")]),
    test("4.10.9", "ValidPolicyMappingTest9", &[DEFAULT.valid_for(&[1])]),
    test("4.10.10", "InvalidPolicyMappingTest10", &[DEFAULT.invalid("path.policy-required")]),
    test("4.10.11", "ValidPolicyMappingTest11", &[DEFAULT.valid_for(&[1])]),
    test("4.10.12", "ValidPolicyMappingTest12", &[
        DEFAULT.of(&[1]).valid_for(&[1]),
        DEFAULT.of(&[2]).valid_for(&[2]),
    ]),
    test("4.10.13", "ValidPolicyMappingTest13", &[DEFAULT.valid_for(&[1])]),
    test("4.10.14", "ValidPolicyMappingTest14", &[DEFAULT.valid_for(&[1])]),
    // 4.11 Inhibit policy mapping
    test("4.11.1", "InvalidinhibitPolicyMappingTest1", &[DEFAULT.invalid("path.policy-required")]),
    test("4.11.2", "ValidinhibitPolicyMappingTest2", &[DEFAULT.valid_for(&[1])]),
    test("4.11.3", "InvalidinhibitPolicyMappingTest3", &[DEFAULT.invalid("path.policy-required")]),
    test("4.11.4", "ValidinhibitPolicyMappingTest4", &[DEFAULT.valid_for(&[2])]),
    test("4.11.5", "InvalidinhibitPolicyMappingTest5", &[DEFAULT.invalid("path.policy-required")]),
    test("4.11.6", "InvalidinhibitPolicyMappingTest6", &[DEFAULT.invalid("path.policy-required")]),
    test("4.11.7", "ValidSelfIssuedinhibitPolicyMappingTest7", &[DEFAULT.valid_for(&[1])]),
    test("4.11.8", "InvalidSelfIssuedinhibitPolicyMappingTest8", &[DEFAULT.invalid("path.policy-required")]),
    test("4.11.9", "InvalidSelfIssuedinhibitPolicyMappingTest9", &[DEFAULT.invalid("path.policy-required")]),
    test("4.11.10", "InvalidSelfIssuedinhibitPolicyMappingTest10", &[DEFAULT.invalid("path.policy-required")]),
    test("4.11.11", "InvalidSelfIssuedinhibitPolicyMappingTest11", &[DEFAULT.invalid("path.policy-required")]),
    // 4.12 Inhibit anyPolicy
    test("4.12.1", "InvalidinhibitAnyPolicyTest1", &[DEFAULT.invalid("path.policy-required")]),
    test("4.12.2", "ValidinhibitAnyPolicyTest2", &[DEFAULT.valid_for(&[1])]),
    test("4.12.3", "inhibitAnyPolicyTest3", &[
        DEFAULT.valid_for(&[1]),
        DEFAULT.no_any_policy().invalid("path.policy-required"),
    ]),
    test("4.12.4", "InvalidinhibitAnyPolicyTest4", &[DEFAULT.invalid("path.policy-required")]),
    test("4.12.5", "InvalidinhibitAnyPolicyTest5", &[DEFAULT.invalid("path.policy-required")]),
    test("4.12.6", "InvalidinhibitAnyPolicyTest6", &[DEFAULT.invalid("path.policy-required")]),
    test("4.12.7", "ValidSelfIssuedinhibitAnyPolicyTest7", &[DEFAULT.valid_for(&[1])]),
    test("4.12.8", "InvalidSelfIssuedinhibitAnyPolicyTest8", &[DEFAULT.invalid("path.policy-required")]),
    test("4.12.9", "ValidSelfIssuedinhibitAnyPolicyTest9", &[DEFAULT.valid_for(&[1])]),
    test("4.12.10", "InvalidSelfIssuedinhibitAnyPolicyTest10", &[DEFAULT.invalid("path.policy-required")]),
    // 4.13 Name constraints
    test("4.13.1", "ValidDNnameConstraintsTest1", &[DEFAULT]),
    test("4.13.2", "InvalidDNnameConstraintsTest2", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.3", "InvalidDNnameConstraintsTest3", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.4", "ValidDNnameConstraintsTest4", &[DEFAULT]),
    test("4.13.5", "ValidDNnameConstraintsTest5", &[DEFAULT]),
    test("4.13.6", "ValidDNnameConstraintsTest6", &[DEFAULT]),
    test("4.13.7", "InvalidDNnameConstraintsTest7", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.8", "InvalidDNnameConstraintsTest8", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.9", "InvalidDNnameConstraintsTest9", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.10", "InvalidDNnameConstraintsTest10", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.11", "ValidDNnameConstraintsTest11", &[DEFAULT]),
    test("4.13.12", "InvalidDNnameConstraintsTest12", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.13", "InvalidDNnameConstraintsTest13", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.14", "ValidDNnameConstraintsTest14", &[DEFAULT]),
    test("4.13.15", "InvalidDNnameConstraintsTest15", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.16", "InvalidDNnameConstraintsTest16", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.17", "InvalidDNnameConstraintsTest17", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.18", "ValidDNnameConstraintsTest18", &[DEFAULT]),
    test("4.13.19", "ValidSelfIssuedDNnameConstraintsTest19", &[DEFAULT]),
    test("4.13.20", "InvalidSelfIssuedDNnameConstraintsTest20", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.21", "ValidRFC822nameConstraintsTest21", &[DEFAULT]),
    test("4.13.22", "InvalidRFC822nameConstraintsTest22", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.23", "ValidRFC822nameConstraintsTest23", &[DEFAULT]),
    test("4.13.24", "InvalidRFC822nameConstraintsTest24", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.25", "ValidRFC822nameConstraintsTest25", &[DEFAULT]),
    test("4.13.26", "InvalidRFC822nameConstraintsTest26", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.27", "ValidDNandRFC822nameConstraintsTest27", &[DEFAULT]),
    test("4.13.28", "InvalidDNandRFC822nameConstraintsTest28", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.29", "InvalidDNandRFC822nameConstraintsTest29", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.30", "ValidDNSnameConstraintsTest30", &[DEFAULT]),
    test("4.13.31", "InvalidDNSnameConstraintsTest31", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.32", "ValidDNSnameConstraintsTest32", &[DEFAULT]),
    test("4.13.33", "InvalidDNSnameConstraintsTest33", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.34", "ValidURInameConstraintsTest34", &[DEFAULT]),
    test("4.13.35", "InvalidURInameConstraintsTest35", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.36", "ValidURInameConstraintsTest36", &[DEFAULT]),
    test("4.13.37", "InvalidURInameConstraintsTest37", &[DEFAULT.invalid("path.name-constraint")]),
    test("4.13.38", "InvalidDNSnameConstraintsTest38", &[DEFAULT.invalid("path.name-constraint")]),
    // 4.14 Distribution points
    test("4.14.1", "ValiddistributionPointTest1", &[DEFAULT]),
    test("4.14.2", "InvaliddistributionPointTest2", &[DEFAULT.invalid("path.revoked")]),
    test("4.14.3", "InvaliddistributionPointTest3", &[DEFAULT.invalid("crl.out-of-scope")]),
    test("4.14.4", "ValiddistributionPointTest4", &[DEFAULT]),
    test("4.14.5", "ValiddistributionPointTest5", &[DEFAULT]),
    test("4.14.6", "InvaliddistributionPointTest6", &[DEFAULT.invalid("path.revoked")]),
    test("4.14.7", "ValiddistributionPointTest7", &[DEFAULT]),
    test("4.14.8", "InvaliddistributionPointTest8", &[DEFAULT.invalid("crl.out-of-scope")]),
    test("4.14.9", "InvaliddistributionPointTest9", &[DEFAULT.invalid("crl.out-of-scope")]),
    test("4.14.10", "ValidNoissuingDistributionPointTest10", &[DEFAULT]),
    test("4.14.11", "InvalidonlyContainsUserCertsCRLTest11", &[DEFAULT.invalid("crl.out-of-scope")]),
    test("4.14.12", "InvalidonlyContainsCACertsCRLTest12", &[DEFAULT.invalid("crl.out-of-scope")]),
    test("4.14.13", "ValidonlyContainsCACertsCRLTest13", &[DEFAULT]),
    test("4.14.14", "InvalidonlyContainsAttributeCertsTest14", &[DEFAULT.invalid("crl.out-of-scope")]),
    test("4.14.15", "InvalidonlySomeReasonsTest15", &[DEFAULT.invalid("path.revoked")]),
    test("4.14.16", "InvalidonlySomeReasonsTest16", &[DEFAULT.invalid("path.revoked")]),
    test("4.14.17", "InvalidonlySomeReasonsTest17", &[DEFAULT.invalid("crl.some-reasons-only")]),
    test("4.14.18", "ValidonlySomeReasonsTest18", &[DEFAULT]),
    test("4.14.19", "ValidonlySomeReasonsTest19", &[DEFAULT]),
    test("4.14.20", "InvalidonlySomeReasonsTest20", &[DEFAULT.invalid("path.revoked")]),
    test("4.14.21", "InvalidonlySomeReasonsTest21", &[DEFAULT.invalid("path.revoked")]),
    test("4.14.22", "ValidIDPwithindirectCRLTest22", &[DEFAULT]),
    test("4.14.23", "InvalidIDPwithindirectCRLTest23", &[DEFAULT.invalid("crl.indirect")]),
    test("4.14.24", "ValidIDPwithindirectCRLTest24", &[DEFAULT]),
    test("4.14.25", "ValidIDPwithindirectCRLTest25", &[DEFAULT]),
    test("4.14.26", "InvalidIDPwithindirectCRLTest26", &[DEFAULT.invalid("crl.indirect")]),
    test("4.14.27", "InvalidcRLIssuerTest27", &[DEFAULT.invalid("crl.indirect")]),
    test("4.14.28", "ValidcRLIssuerTest28", &[DEFAULT]),
    test("4.14.29", "ValidcRLIssuerTest29", &[DEFAULT]),
    test("4.14.30", "ValidcRLIssuerTest30", &[DEFAULT]),
    test("4.14.31", "InvalidcRLIssuerTest31", &[DEFAULT.invalid("crl.indirect")]),
    test("4.14.32", "InvalidcRLIssuerTest32", &[DEFAULT.invalid("crl.indirect")]),
    test("4.14.33", "ValidcRLIssuerTest33", &[DEFAULT]),
    test("4.14.34", "InvalidcRLIssuerTest34", &[DEFAULT.invalid("crl.indirect")]),
    test("4.14.35", "InvalidcRLIssuerTest35", &[DEFAULT.invalid("crl.indirect")]),
    // 4.15 Delta lists
    test("4.15.1", "InvaliddeltaCRLIndicatorNoBaseTest1", &[DEFAULT.invalid("crl.delta-without-base")]),
    test("4.15.2", "ValiddeltaCRLTest2", &[DEFAULT]),
    test("4.15.3", "InvaliddeltaCRLTest3", &[DEFAULT.invalid("path.revoked")]),
    test("4.15.4", "InvaliddeltaCRLTest4", &[DEFAULT.invalid("path.revoked")]),
    test("4.15.5", "ValiddeltaCRLTest5", &[DEFAULT]),
    test("4.15.6", "InvaliddeltaCRLTest6", &[DEFAULT.invalid("path.revoked")]),
    test("4.15.7", "ValiddeltaCRLTest7", &[DEFAULT]),
    test("4.15.8", "ValiddeltaCRLTest8", &[DEFAULT]),
    test("4.15.9", "InvaliddeltaCRLTest9", &[DEFAULT.invalid("path.revoked")]),
    test("4.15.10", "InvaliddeltaCRLTest10", &[DEFAULT.invalid("crl.stale")]),
    // 4.16 Private certificate extensions
    test("4.16.1", "ValidUnknownNotCriticalCertificateExtensionTest1", &[DEFAULT]),
    test("4.16.2", "InvalidUnknownCriticalCertificateExtensionTest2", &[DEFAULT.invalid("path.unknown-critical-extension")]),
];
