//! Resource quantities such as `500m`, `2` and `4Gi`.

use serde_json::Value;

/// Thousandths of the unit, rounded up; `None` for what is no quantity.
pub(crate) fn milli(quantity: &Value) -> Option<i128> {
    let owned;
    let text = match quantity {
        Value::String(text) => text.as_str(),
        Value::Number(number) => {
            owned = number.to_string();
            &owned
        }
        _ => return None,
    };
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        exponent if exponent.starts_with(['e', 'E']) => 10_f64.powi(exponent.get(1..)?.parse().ok()?),
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "quantities of machines are far below 2^127")]
    let milli = (number * factor * 1000.0 - 1e-6).ceil() as i128;
    Some(milli)
}

/// Thousandths back into the shortest plain spelling.
pub(crate) fn spell(milli: i128) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_in_every_spelling() {
        for (text, wanted) in [
            (json!("500m"), 500),
            (json!(2), 2000),
            (json!("0.1"), 100),
            (json!("1Ki"), 1_024_000),
            (json!("4Gi"), 4_294_967_296_000),
            (json!("256M"), 256_000_000_000),
            (json!("1e3"), 1_000_000),
        ] {
            assert_eq!(milli(&text), Some(wanted), "{text}");
        }
        assert_eq!(milli(&json!("4GB")), None);
        assert_eq!(milli(&json!(true)), None);
        assert_eq!(spell(1500), "1500m");
        assert_eq!(spell(2000), "2");
    }
}
