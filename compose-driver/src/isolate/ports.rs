//! The ports that a service publishes.

use serde_json::Value;

/// Each port on the host with that in the container. Those of other protocols than TCP, and those for
/// which the engine chooses, cannot be named by a URL.
pub fn published(ports: &Value) -> Vec<(u16, u16)> {
    ports.as_array().into_iter().flatten().flat_map(pairs).collect()
}

fn pairs(port: &Value) -> Vec<(u16, u16)> {
    match port {
        Value::String(text) => short(text),
        Value::Object(long) => {
            let is_tcp = long.get("protocol").is_none_or(|protocol| protocol == "tcp");
            let range = |name| long.get(name).and_then(text).and_then(|text| range(&text));
            match (range("published"), range("target")) {
                (Some(published), Some(target)) if is_tcp => joined(published, target),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// `[ADDRESS:]PUBLISHED:TARGET[/PROTOCOL]`
fn short(text: &str) -> Vec<(u16, u16)> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let mut parts = ports.rsplitn(3, ':');
    let (target, published) = (parts.next().and_then(range), parts.next().and_then(range));
    match (published, target) {
        (Some(published), Some(target)) if protocol == "tcp" => joined(published, target),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `PORT` or `FIRST-LAST`
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}

fn joined(published: (u16, u16), target: (u16, u16)) -> Vec<(u16, u16)> {
    if published.1 - published.0 != target.1 - target.0 {
        return Vec::new();
    }
    (published.0..=published.1).zip(target.0..=target.1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_port_is_read_in_every_form_that_compose_prints() {
        for (port, expected) in [
            (json!("127.0.0.1:81:80/tcp"), &[(81, 80)][..]),
            (json!("81:80"), &[(81, 80)]),
            (json!("[::1]:81:80"), &[(81, 80)]),
            (json!("81:80/udp"), &[]),
            (json!("80"), &[]),
            (json!("127.0.0.1::80"), &[]),
            (json!("3000-3001:4000-4001"), &[(3000, 4000), (3001, 4001)]),
            (json!("3000-3001:80"), &[]),
            (json!({"target": 80, "published": "81", "protocol": "tcp"}), &[(81, 80)]),
            (json!({"target": 80, "published": 81}), &[(81, 80)]),
            (json!({"target": 80, "published": "81", "protocol": "udp"}), &[]),
            (json!({"target": 80, "protocol": "tcp"}), &[]),
            (json!({"target": 80, "published": "0"}), &[]),
            (json!(80), &[]),
            (json!({"target": 1, "published": "99999"}), &[]),
        ] {
            assert_eq!(published(&json!([port.clone()])), expected, "{port}");
        }
        assert_eq!(published(&Value::Null), []);
    }
}
