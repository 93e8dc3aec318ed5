//! Whether a profile's rule holds for a device.

use crate::model::{Facts, MatchRule};

/// Whether all of a rule holds.
pub(super) fn matches(rule: &MatchRule, facts: &Facts) -> bool {
    let pattern = |pattern: &Option<String>, fact: &Option<String>| {
        pattern.as_ref().is_none_or(|pattern| {
            fact.as_ref()
                .is_some_and(|fact| glob(pattern, fact, Case::Ignored))
        })
    };
    pattern(&rule.vendor, &facts.vendor)
        && pattern(&rule.model, &facts.model)
        && pattern(&rule.os_name, &facts.os_name)
        && pattern(&rule.os_version, &facts.os_version)
        && rule.serial_number.as_ref().is_none_or(|pattern| {
            let mut serial_numbers = facts.serial_numbers.iter();
            serial_numbers.any(|serial_number| glob(pattern, serial_number, Case::Counts))
        })
        && rule.tags.iter().all(|tag| facts.tags.contains(tag))
        && (rule.groups.is_empty() || rule.groups.iter().any(|group| facts.groups.contains(group)))
}

/// What of a rule does not hold, in words; nothing: it holds.
pub(super) fn mismatches(rule: &MatchRule, facts: &Facts) -> Vec<String> {
    let mut all = Vec::new();
    for (name, pattern, fact) in [
        ("vendor", &rule.vendor, &facts.vendor),
        ("model", &rule.model, &facts.model),
        ("os_name", &rule.os_name, &facts.os_name),
        ("os_version", &rule.os_version, &facts.os_version),
    ] {
        match (pattern, fact) {
            (Some(pattern), None) => all.push(format!(
                "{name} must match {pattern:?}, and it is not known yet"
            )),
            (Some(pattern), Some(fact)) if !glob(pattern, fact, Case::Ignored) => {
                all.push(format!("{name} {fact:?} does not match {pattern:?}"));
            }
            _ => {}
        }
    }
    if let Some(pattern) = &rule.serial_number
        && !facts
            .serial_numbers
            .iter()
            .any(|serial_number| glob(pattern, serial_number, Case::Counts))
    {
        all.push(format!("no serial number matches {pattern:?}"));
    }
    for tag in rule.tags.iter().filter(|tag| !facts.tags.contains(tag)) {
        all.push(format!("the tag {tag:?} is not set"));
    }
    if !rule.groups.is_empty() && !rule.groups.iter().any(|group| facts.groups.contains(group)) {
        all.push(format!("in none of the groups {}", rule.groups.join(", ")));
    }
    all
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Counts,
    Ignored,
}

/// `*` is any text, `?` one character. At most the product of both lengths in steps.
fn glob(pattern: &str, text: &str, case: Case) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let same = |left: char, right: char| match case {
        Case::Counts => left == right,
        Case::Ignored => left.eq_ignore_ascii_case(&right),
    };
    let (mut p, mut t) = (0, 0);
    // Where the last `*` is, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&expected) if expected == '?' || same(expected, text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("C9*", "C9300-24T", true),
            ("c9*", "C9300-24T", true),
            ("*24?", "C9300-24T", true),
            ("C9?00*T", "C9300-24T", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("?", "", false),
            ("C9", "C9300", false),
            ("C93**", "C93", true),
        ] {
            assert_eq!(
                glob(pattern, text, Case::Ignored),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(!glob("fcw*", "FCW1", Case::Counts));
        let (pattern, text) = ("*a".repeat(60), "a".repeat(50) + &"b".repeat(50));
        assert!(!glob(&pattern, &text, Case::Counts));
    }

    #[test]
    fn a_rule_holds_when_all_of_it_does() {
        let facts = Facts {
            model: Some("C9300-24T".to_owned()),
            serial_numbers: vec!["FCW1".to_owned(), "RP9".to_owned()],
            tags: vec!["edge".to_owned()],
            groups: vec!["west".to_owned()],
            ..Facts::default()
        };
        let text = |text: &str| Some(text.to_owned());
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (rule, holds) in [
            (MatchRule::default(), true),
            (
                MatchRule {
                    model: text("c9300*"),
                    serial_number: text("RP*"),
                    ..MatchRule::default()
                },
                true,
            ),
            (
                MatchRule {
                    serial_number: text("rp*"),
                    ..MatchRule::default()
                },
                false,
            ),
            (
                MatchRule {
                    os_version: text("*"),
                    ..MatchRule::default()
                },
                false,
            ),
            (
                MatchRule {
                    tags: all(&["edge"]),
                    ..MatchRule::default()
                },
                true,
            ),
            (
                MatchRule {
                    tags: all(&["edge", "new"]),
                    ..MatchRule::default()
                },
                false,
            ),
            (
                MatchRule {
                    groups: all(&["east", "west"]),
                    ..MatchRule::default()
                },
                true,
            ),
            (
                MatchRule {
                    groups: all(&["east"]),
                    ..MatchRule::default()
                },
                false,
            ),
        ] {
            assert_eq!(matches(&rule, &facts), holds, "{rule:?}");
            assert_eq!(mismatches(&rule, &facts).is_empty(), holds, "{rule:?}");
        }
    }
}
