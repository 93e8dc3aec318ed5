//! Names that a host may have in a certificate.

/// RFC 1123 §2.1.
pub(crate) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::is_host_name;

    #[test]
    fn names_of_hosts() {
        for good in ["a", "edge-1.example.net"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in [
            "",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a.example.net.",
            "\u{e4}.example",
        ] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
