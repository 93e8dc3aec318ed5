//! Finding the API root by `/.well-known/host-meta` (RFC 8040 §3.1).

/// The media type of the discovery document (RFC 8040 §3.1).
pub const HOST_META_MEDIA_TYPE: &str = "application/xrd+xml";

/// The document at `/.well-known/host-meta` for an API root such as `/restconf` (RFC 8040 §3.1).
pub fn host_meta(root: &str) -> String {
    let root = quick_xml::escape::escape(root);
    format!("<XRD xmlns=\"{XRD_NAMESPACE}\">\n  <Link rel=\"restconf\" href=\"{root}\"/>\n</XRD>\n")
}

/// The API root that a host-meta document names; `None` when it names none (RFC 8040 §3.1).
pub fn restconf_root(host_meta: &[u8]) -> Option<String> {
    use quick_xml::events::Event;
    use quick_xml::name::{Namespace, ResolveResult};

    if host_meta.len() > 64 * 1024 {
        return None;
    }
    let text = std::str::from_utf8(host_meta).ok()?;
    let mut reader = quick_xml::NsReader::from_str(text);
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        let (Event::Start(element) | Event::Empty(element)) = event else {
            match event {
                Event::Eof | Event::DocType(_) => return None,
                _ => continue,
            }
        };
        let ours = namespace == ResolveResult::Bound(Namespace(XRD_NAMESPACE));
        if !ours || element.local_name().as_ref() != "Link" {
            continue;
        }
        let attribute = |name: &str| {
            let attribute = element.try_get_attribute(name).ok().flatten()?;
            quick_xml::escape::unescape(&attribute.value)
                .ok()
                .map(String::from)
        };
        if attribute("rel").as_deref() == Some("restconf") {
            return attribute("href");
        }
    }
}

const XRD_NAMESPACE: &str = "http://docs.oasis-open.org/ns/xri/xrd-1.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_root_is_discovered() {
        // LEDGER: 8040-3.1-01, 8040-3.1-02
        for root in ["/restconf", "/top/restconf", "/a&b\"<"] {
            assert_eq!(
                restconf_root(host_meta(root).as_bytes()).as_deref(),
                Some(root)
            );
        }
        let other = "<?xml version='1.0'?><x:XRD xmlns:x='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\
            <x:Link rel='lrdd' href='/no'/><x:Link rel='restconf' href='/yes'></x:Link></x:XRD>";
        assert_eq!(restconf_root(other.as_bytes()).as_deref(), Some("/yes"));
        for bad in [
            "",
            "x",
            "<XRD/>",
            "<!DOCTYPE x><XRD/>",
            "<Link rel='restconf' href='/'/>",
        ] {
            assert_eq!(restconf_root(bad.as_bytes()), None, "{bad}");
        }
    }
}
