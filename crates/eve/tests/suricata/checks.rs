//! The checks of a suricata-verify case: the subset of YAML that its `test.yaml` files are written in.

use serde_json::Value;

/// The number of events that must have these values.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) count: usize,
    /// Dotted paths with their wanted values; `has-key` with a path as its value.
    pub(crate) wanted: Vec<(String, Value)>,
}

impl Filter {
    pub(crate) fn matches(&self, event: &Value) -> bool {
        self.wanted.iter().all(|(path, wanted)| match path.as_str() {
            "has-key" => at(event, wanted.as_str().unwrap_or_default()).is_some(),
            path => at(event, path) == Some(wanted),
        })
    }

    pub(crate) fn event_type(&self) -> Option<&str> {
        self.wanted.iter().find(|(path, _)| path == "event_type").and_then(|(_, value)| value.as_str())
    }
}

fn at<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(event, |value, key| value.get(key))
}

/// The filters of a `test.yaml`, in order, and the file that its `pcap:` names.
pub(crate) fn read(text: &str) -> (Vec<Filter>, Option<String>) {
    let mut filters = Vec::new();
    let mut pcap = None;
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("- -") {
            continue;
        }
        if line == "- filter:" {
            filters.push(Filter::default());
            continue;
        }
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("no key in {line:?}"));
        match (key, filters.last_mut()) {
            ("pcap", _) => pcap = Some(value.trim().to_owned()),
            ("args" | "checks" | "match" | "requires", _) => assert_eq!(value, "", "{line:?}"),
            ("count", Some(filter)) => filter.count = value.trim().parse().unwrap(),
            (_, Some(filter)) => {
                let mut rest = value.trim();
                filter.wanted.push((key.to_owned(), flow_value(&mut rest)));
                assert_eq!(rest.trim(), "", "{line:?}");
            }
            (_, None) => {}
        }
    }
    (filters, pcap)
}

/// A scalar, `[ a, b ]` or `{ key: value }`.
fn flow_value(rest: &mut &str) -> Value {
    *rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('[') {
        *rest = inner;
        let mut list = Vec::new();
        while !is_end(rest, ']') {
            list.push(flow_value(rest));
        }
        return Value::Array(list);
    }
    if let Some(inner) = rest.strip_prefix('{') {
        *rest = inner;
        let mut object = serde_json::Map::new();
        while !is_end(rest, '}') {
            let (key, value) = rest.split_once(':').unwrap();
            *rest = value;
            object.insert(key.trim().to_owned(), flow_value(rest));
        }
        return Value::Object(object);
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (text, after) = quoted.split_once('"').unwrap();
        *rest = after;
        return text.into();
    }
    let end = rest.find([',', ']', '}']).unwrap_or(rest.len());
    let (plain, after) = rest.split_at(end);
    *rest = after;
    match plain.trim() {
        "true" => true.into(),
        "false" => false.into(),
        plain => plain.parse::<i64>().map_or_else(|_| plain.into(), Value::from),
    }
}

/// Whether a list or object ends here; skips a comma.
fn is_end(rest: &mut &str, close: char) -> bool {
    *rest = rest.trim_start();
    *rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    match rest.strip_prefix(close) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}
