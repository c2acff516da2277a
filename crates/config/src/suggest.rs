//! "Did you mean ...?" for names that are not known.

/// Jaro-Winkler similarity above which a known name is suggested.
const MIN_SIMILARITY: f64 = 0.7;

/// Returns `; did you mean NAME?` with the most similar known name, or an empty string if none is similar.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    let candidates = known.iter().map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    match candidates.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((similarity, candidate)) if similarity > MIN_SIMILARITY => {
            format!("; did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_name_is_suggested() {
        let known = ["flows", "window_secs"];
        assert_eq!(did_you_mean("flws", &known), "; did you mean `flows`?");
        assert_eq!(did_you_mean("xyz", &known), "");
        assert_eq!(did_you_mean("flows", &[]), "");
    }
}
