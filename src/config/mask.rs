//! Masking: the lines that diagnostics show must not show secrets. Owns which parts of a line may be one.
//!
//! It works on the text, not on the tree, because a file that is no YAML has lines to show and no tree. It hides too
//! much rather than too little, and keeps every column where it was.

/// Parts of a key's name that make its value a secret, unless the name ends in `_file`.
const SECRET_WORDS: [&str; 8] = ["pass", "token", "key", "secret", "webhook", "auth", "credential", "cookie"];

/// The line with everything that may be a secret replaced by asterisks.
pub(crate) fn mask(line: &str) -> String {
    let mut chars: Vec<char> = line.chars().collect();
    mask_values(&mut chars);
    mask_urls(&mut chars);
    chars.into_iter().collect()
}

/// Hides from a secret's colon to the end of the line, but for closing brackets.
fn mask_values(chars: &mut [char]) {
    for colon in 0..chars.len() {
        let ends_key = chars.get(colon + 1).is_none_or(|c| c.is_whitespace() || *c == '"' || *c == '\'');
        if chars[colon] != ':' || !ends_key {
            continue;
        }
        let head = chars[..colon].iter().rev();
        let key: String = head.skip_while(|c| "\"' ".contains(**c)).take_while(|c| is_word(**c)).collect();
        let key: String = key.chars().rev().collect::<String>().to_lowercase();
        let is_secret = SECRET_WORDS.iter().any(|word| key.contains(word)) && !key.ends_with("_file");
        // A channel of the kind `webhook` opens a map, whose own keys are looked at in their turn.
        let opens_map = chars[colon + 1..].iter().find(|c| !c.is_whitespace()) == Some(&'{');
        if is_secret && !opens_map {
            let end = chars.iter().rposition(|c| !"]} ".contains(*c)).map_or(0, |last| last + 1);
            hide(chars, colon + 1, end);
            return;
        }
    }
}

/// Hides the credentials of URLs and what follows their host.
fn mask_urls(chars: &mut [char]) {
    let mut at = 0;
    while at + 3 <= chars.len() {
        if chars[at..at + 3] != [':', '/', '/'] {
            at += 1;
            continue;
        }
        let start = at + 3;
        let ends = |c: &char| c.is_whitespace() || "\"',}]".contains(*c);
        let end = chars[start..].iter().position(ends).map_or(chars.len(), |length| start + length);
        let host = match chars[start..end].iter().rposition(|c| *c == '@') {
            Some(sign) => {
                hide(chars, start, start + sign);
                start + sign + 1
            }
            None => start,
        };
        let path =
            chars[host..end].iter().position(|c| "/?#".contains(*c)).map_or(end, |length| host + length);
        hide(chars, (path + 1).min(end), end);
        at = end.max(start);
    }
}

fn hide(chars: &mut [char], start: usize, end: usize) {
    for c in chars.get_mut(start..end).unwrap_or_default() {
        if !c.is_whitespace() {
            *c = '*';
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_columns_stay() {
        let cases = [
            ("routing_key: 0123abc", "routing_key: *******"),
            ("  pagerduty: {routing_key: 0123, url: x}", "  pagerduty: {routing_key: ***** **** *}"),
            ("  \"password\" : hunter2 # old", "  \"password\" : ******* * ***"),
            ("password_file: /run/pw", "password_file: /run/pw"),
            ("Authorization: Bearer abc", "Authorization: ****** ***"),
            ("smtp_url: smtps://me:pw@mail:465", "smtp_url: smtps://*****@mail:465"),
            ("url: https://hooks.example.org/T0/B0", "url: https://hooks.example.org/*****"),
            ("webhook: {url: \"https://a/b?c\"}", "webhook: {url: \"https://a/***\"}"),
            ("webhook_url: https://a/b", "webhook_url: ***********"),
            ("kubernetes: {mode: off}", "kubernetes: {mode: off}"),
            ("ключ: пароль", "ключ: пароль"),
        ];
        for (line, wanted) in cases {
            assert_eq!(mask(line), wanted);
            assert_eq!(mask(line).chars().count(), line.chars().count());
        }
    }
}
