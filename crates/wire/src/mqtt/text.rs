//! Texts, topic names and topic filters (MQTT 3.1.1, 1.5.3 and 4.7; MQTT 5.0, 1.5.4, 4.7 and 4.8.2).

use super::{Violation, Violations};

/// Violations of a text.
pub(super) fn check(text: &[u8]) -> Violations {
    let mut found = Violations::NONE;
    if text.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return found;
    }
    match std::str::from_utf8(text) {
        Ok(text) => {
            for char in text.chars() {
                found.insert_if(char == '\0', Violation::NullInText);
                found.insert_if(char != '\0' && is_discouraged(char), Violation::ControlInText);
            }
        }
        Err(_) => found.insert(Violation::BadUtf8),
    }
    found
}

/// Whether a character should not be in a text: control characters and Unicode non-characters.
fn is_discouraged(char: char) -> bool {
    let code = u32::from(char);
    char.is_control() || code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

/// Violations of a topic name of at most `longest` bytes.
pub(super) fn check_topic(topic: &[u8], longest: usize) -> Violations {
    let mut found = check(topic);
    found.insert_if(topic.iter().any(|byte| matches!(byte, b'+' | b'#')), Violation::WildcardInTopic);
    found.insert_if(topic.len() > longest, Violation::TopicTooLong);
    found
}

/// Violations of a topic filter of at most `longest` bytes; `shared`: the version has shared subscriptions.
pub(super) fn check_filter(filter: &[u8], longest: usize, shared: bool) -> Violations {
    let mut found = check(filter);
    found.insert_if(filter.is_empty(), Violation::EmptyTopic);
    found.insert_if(filter.len() > longest, Violation::TopicTooLong);
    found.insert_if(!has_valid_wildcards(filter), Violation::BadTopicFilter);
    if shared && let Some(rest) = filter.strip_prefix(b"$share/") {
        // MQTT-4.8.2-1 and -2: a share name of at least one character without wildcards, then a filter.
        let mut parts = rest.splitn(2, |byte| *byte == b'/');
        let name = parts.next().unwrap_or_default();
        let bad_name = name.is_empty() || name.iter().any(|byte| matches!(byte, b'+' | b'#'));
        let no_filter = parts.next().is_none_or(<[u8]>::is_empty);
        found.insert_if(bad_name || no_filter, Violation::BadTopicFilter);
    }
    found
}

/// Whether `#` and `+` occupy whole levels, `#` the last one (MQTT-4.7.1-2, MQTT-4.7.1-3).
fn has_valid_wildcards(filter: &[u8]) -> bool {
    let mut levels = filter.split(|byte| *byte == b'/').peekable();
    while let Some(level) = levels.next() {
        let multi = level.contains(&b'#');
        if (multi || level.contains(&b'+')) && level.len() != 1 {
            return false;
        }
        if multi && levels.peek().is_some() {
            return false;
        }
    }
    true
}

/// Whether a topic filter matches a topic name (MQTT 4.7): wildcards at the first level do not match topics that begin
/// with `$`. Of a shared subscription, the part after the share name is matched.
pub fn filter_matches(filter: &[u8], topic: &[u8]) -> bool {
    let filter = match filter.strip_prefix(b"$share/") {
        Some(shared) => match shared.iter().position(|byte| *byte == b'/') {
            Some(slash) => crate::cursor::after(shared, slash + 1),
            None => return false,
        },
        None => filter,
    };
    if topic.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return false;
    }
    let mut levels = topic.split(|byte| *byte == b'/');
    for wanted in filter.split(|byte| *byte == b'/') {
        match (wanted, levels.next()) {
            // "sport/#" also matches "sport".
            (b"#", _) => return true,
            (b"+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_in_the_standard() {
        for (filter, topic, wanted) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/x", true),
            ("$share/group/a/+", "a/b", true),
        ] {
            assert_eq!(filter_matches(filter.as_bytes(), topic.as_bytes()), wanted, "{filter} {topic}");
        }
    }

    #[test]
    fn misplaced_wildcards_are_violations() {
        for bad in ["a#", "a/#/b", "a+/b", "+a", "##"] {
            let found = check_filter(bad.as_bytes(), 100, true);
            assert!(found.contains(Violation::BadTopicFilter), "{bad}");
        }
        for good in ["#", "+", "a/+/b", "a/#", "/", "$share/g/a/#"] {
            assert!(check_filter(good.as_bytes(), 100, true).is_empty(), "{good}");
        }
        assert!(check_filter(b"$share/g", 100, true).contains(Violation::BadTopicFilter));
        assert!(check_filter(b"$share/g", 100, false).is_empty());
    }

    #[test]
    fn text_violations() {
        assert!(check("grün/ü€𝄞".as_bytes()).is_empty());
        assert!(check(b"\xff").contains(Violation::BadUtf8));
        // A surrogate, encoded (MQTT-1.5.4-1).
        assert!(check(b"\xed\xa0\x80").contains(Violation::BadUtf8));
        assert!(check(b"a\0").contains(Violation::NullInText));
        assert!(check("\u{7}".as_bytes()).contains(Violation::ControlInText));
        assert!(check("\u{fdd0}".as_bytes()).contains(Violation::ControlInText));
    }
}
