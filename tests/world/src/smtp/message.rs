//! Reads a mail: headers unfolded and decoded, parts taken out of their encodings. It reads what mail programs
//! write, leniently; it does not judge.

/// A message as the server took it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Who had logged in.
    pub user: Option<String>,
    /// The bytes between `DATA` and the dot, with doubled dots undone.
    pub raw: Vec<u8>,
    /// Headers in order, unfolded and decoded.
    pub headers: Vec<(String, String)>,
    /// The parts that hold something, in order; a mail without parts is one.
    pub parts: Vec<Part>,
}

impl Mail {
    /// A header's value; the first one where it is repeated.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The text of the first plain-text part.
    pub fn text(&self) -> Option<String> {
        self.part("text/plain").map(Part::text)
    }

    /// The text of the first HTML part.
    pub fn html(&self) -> Option<String> {
        self.part("text/html").map(Part::text)
    }

    /// The first part of this media type.
    pub fn part(&self, media_type: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.media_type == media_type)
    }
}

/// One part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Type and subtype in lower case; `text/plain` where nothing is said.
    pub media_type: String,
    /// The part's own headers.
    pub headers: Vec<(String, String)>,
    /// The content, out of its transfer encoding.
    pub content: Vec<u8>,
}

impl Part {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// Parts within parts are looked into so deep; real mail goes three deep.
const DEEPEST: usize = 8;

/// Takes a mail apart; the envelope stays empty.
pub fn parse(raw: Vec<u8>) -> Mail {
    let mut parts = Vec::new();
    let (headers, body) = split(&raw);
    collect(headers.clone(), body, 0, &mut parts);
    Mail { raw, headers, parts, ..Mail::default() }
}

fn collect(headers: Vec<(String, String)>, body: &[u8], depth: usize, parts: &mut Vec<Part>) {
    let content_type = find(&headers, "content-type").unwrap_or("text/plain").to_owned();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type.starts_with("multipart/")
        && depth < DEEPEST
        && let Some(boundary) = parameter(&content_type, "boundary")
    {
        for inner in between(body, &boundary) {
            let (headers, body) = split(inner);
            collect(headers, body, depth + 1, parts);
        }
        return;
    }
    let encoding =
        find(&headers, "content-transfer-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let content = match encoding.as_str() {
        "base64" => base64(body).unwrap_or_else(|| body.to_vec()),
        "quoted-printable" => quoted_printable(body),
        _ => body.to_vec(),
    };
    parts.push(Part { media_type, headers, content });
}

/// The pieces between the boundary's lines; the line end before a boundary belongs to the boundary.
fn between<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let mut pieces = Vec::new();
    let (mut piece_start, mut at) = (None, 0);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let trimmed = line.trim_ascii_end();
        let closes = trimmed.strip_suffix(b"--") == Some(delimiter.as_bytes());
        if closes || trimmed == delimiter.as_bytes() {
            if let Some(piece) = piece_start.and_then(|start| body.get(start..at)) {
                let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
                pieces.push(piece.strip_suffix(b"\r").unwrap_or(piece));
            }
            piece_start = Some(at + line.len()).filter(|_| !closes);
        }
        at += line.len();
    }
    pieces
}

/// Headers and body on either side of the first empty line.
fn split(raw: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut at = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            break;
        }
        if text.starts_with([' ', '\t']) {
            // Unfolding takes the line end away and leaves the white space (RFC 5322, 2.2.3).
            if let Some((_, value)) = headers.last_mut() {
                value.push_str(text);
            }
        } else if let Some((name, value)) = text.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim_start().to_owned()));
        }
    }
    for (_, value) in &mut headers {
        *value = encoded_words(value);
    }
    (headers, raw.get(at..).unwrap_or_default())
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A parameter of a structured header, without its quotes.
fn parameter(value: &str, name: &str) -> Option<String> {
    let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut named = parameters.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

// === encodings ===

/// Decodes `=?charset?B?…?=` and `=?charset?Q?…?=` (RFC 2047); white space between two of them is not text. Every
/// charset is read as UTF-8, which is what anything written for this server uses.
fn encoded_words(value: &str) -> String {
    let mut out = String::new();
    let mut bytes = Vec::new();
    let mut rest = value;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, after)) = encoded_word(word) else {
            flush(&mut bytes, &mut out);
            out.push_str(before);
            out.push_str("=?");
            rest = word.strip_prefix("=?").unwrap_or_default();
            continue;
        };
        if bytes.is_empty() || !before.trim().is_empty() {
            flush(&mut bytes, &mut out);
            out.push_str(before);
        }
        // Kept as bytes until the run of words ends: a character may be spread over two.
        bytes.extend(decoded);
        rest = after;
    }
    flush(&mut bytes, &mut out);
    out.push_str(rest);
    out
}

fn flush(bytes: &mut Vec<u8>, out: &mut String) {
    out.push_str(&String::from_utf8_lossy(bytes));
    bytes.clear();
}

/// The word at the start of the text, decoded, and what follows it.
fn encoded_word(text: &str) -> Option<(Vec<u8>, &str)> {
    let (_charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, after) = rest.split_once("?=")?;
    let decoded = match encoding {
        "B" | "b" => base64(content.as_bytes())?,
        "Q" | "q" => quoted_printable(content.replace('_', " ").as_bytes()),
        _ => return None,
    };
    Some((decoded, after))
}

fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'=' {
            out.push(*byte);
            continue;
        }
        match after {
            [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..] => rest = tail,
            [high, low, tail @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                _ => out.push(b'='),
            },
            _ => out.push(b'='),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Decodes base64, line ends and padding ignored; none if anything else is in it.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_as_mail_programs_write_it() {
        let raw = "From: =?utf-8?Q?=C3=84rger_im?= =?utf-8?B?IExhZGVu?= <a@b.test>\r\n\
            Subject: INC-1\r\n checkout\r\n\
            Content-Type: multipart/alternative;\r\n boundary=\"outer\"\r\n\r\npreamble\r\n\
            --outer\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\n95=C2=A0% of=\r\n the limit\r\n\
            --outer\r\nContent-Type: multipart/related; boundary=inner\r\n\r\n\
            --inner\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n\
            --inner\r\nContent-Type: image/png\r\nContent-ID: <chart>\r\n\
            Content-Transfer-Encoding: base64\r\n\r\niVBO\r\nRw==\r\n--inner--\r\n--outer--\r\nepilogue\r\n";
        let mail = parse(raw.as_bytes().to_vec());
        assert_eq!(mail.header("from"), Some("Ärger im Laden <a@b.test>"));
        assert_eq!(mail.header("Subject"), Some("INC-1 checkout"));
        assert_eq!(mail.text().as_deref(), Some("95\u{a0}% of the limit"));
        assert_eq!(mail.html().as_deref(), Some("<b>hi</b>"));
        let chart = mail.part("image/png").unwrap();
        assert_eq!(
            (chart.header("content-id"), chart.content.as_slice()),
            (Some("<chart>"), &b"\x89PNG"[..])
        );
        assert_eq!(mail.parts.len(), 3);
    }

    #[test]
    fn a_character_spread_over_two_encoded_words() {
        assert_eq!(encoded_words("a =?utf-8?B?w4Q=?= b"), "a Ä b");
        assert_eq!(encoded_words("=?utf-8?B?ww==?=\r\n =?utf-8?Q?=84?="), "Ä");
        assert_eq!(encoded_words("1 =?2 and =?x?Z?y?="), "1 =?2 and =?x?Z?y?=");
    }

    #[test]
    fn what_is_not_encoded_stays() {
        assert_eq!(quoted_printable(b"a=3Db=zz="), b"a=b=zz=");
        assert_eq!(base64(b"!"), None);
    }
}
