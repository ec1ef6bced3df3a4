//! Suggestions: what somebody may have meant. Owns how alike two words are; knows no names itself.

/// The name most like `word`, if one is like it at all.
pub(crate) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = (word.chars().count() / 3).max(1);
    names
        .filter(|name| !name.is_empty())
        .map(|name| (strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= allowed || word.starts_with(name) || name.starts_with(word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean …?`, or the list of what there is where it is short.
pub(crate) fn suggestion<'n>(word: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, names.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = names.take(13).collect();
    (!all.is_empty() && all.len() <= 12).then(|| format!("there are: {}", all.join(", ")))
}

/// `a, b or c`.
pub(crate) fn either(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keys_is_understood_and_another_word_is_not() {
        let names = ["cpu_usage", "memory_usage", "for"];
        assert_eq!(nearest("cpu_usge", names.into_iter()), Some("cpu_usage"));
        assert_eq!(nearest("fro", names.into_iter()), Some("for"));
        assert_eq!(nearest("queue_depth", names.into_iter()), None);
        assert_eq!(
            suggestion("x", names.into_iter()).as_deref(),
            Some("there are: cpu_usage, memory_usage, for")
        );
    }
}
