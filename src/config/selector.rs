//! Selectors: expressions that are one selector, alone or compared with a number. Owns recognising them; everything
//! else is left to a server.

use std::sync::Arc;

use promql_parser::parser::token;
use promql_parser::parser::{Expr, VectorSelector, parse};

use crate::domain::labels::Labels;

/// A selector and the comparison it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    vector: VectorSelector,
    compared: Option<(Comparison, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Selector {
    /// Whether a stored series, its name among the labels, is selected.
    pub(crate) fn fits(&self, labels: &Labels) -> bool {
        let of = |name: &str| labels.get(name).unwrap_or_default();
        self.vector.name.as_ref().is_none_or(|name| of("__name__") == name)
            && self.vector.matchers.matchers.iter().all(|matcher| matcher.is_match(of(&matcher.name)))
    }

    /// Whether a value passes the comparison.
    pub(crate) fn keeps(&self, value: f64) -> bool {
        let Some((comparison, number)) = self.compared else { return true };
        match comparison {
            Comparison::Equal => value == number,
            Comparison::NotEqual => value != number,
            Comparison::Greater => value > number,
            Comparison::GreaterOrEqual => value >= number,
            Comparison::Less => value < number,
            Comparison::LessOrEqual => value <= number,
        }
    }
}

/// Reads an expression that is one selector, compared with a number or not.
pub(crate) fn plain(expr: &str) -> Option<Selector> {
    of(&parse(expr).ok()?)
}

fn of(expr: &Expr) -> Option<Selector> {
    match expr {
        Expr::Paren(inner) => of(&inner.expr),
        Expr::VectorSelector(vector) => bare(vector).map(|vector| Selector { vector, compared: None }),
        Expr::Binary(binary) if !binary.return_bool() => {
            let comparison = comparison(binary.op.id())?;
            match (number(&binary.lhs), number(&binary.rhs)) {
                (None, Some(number)) => {
                    let inner = of(&binary.lhs).filter(|inner| inner.compared.is_none())?;
                    Some(Selector { compared: Some((comparison, number)), ..inner })
                }
                (Some(number), None) => {
                    let inner = of(&binary.rhs).filter(|inner| inner.compared.is_none())?;
                    Some(Selector { compared: Some((comparison.turned(), number)), ..inner })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// A selector that looks at the present.
fn bare(vector: &VectorSelector) -> Option<VectorSelector> {
    let is_plain = vector.offset.is_none() && vector.at.is_none() && vector.matchers.or_matchers.is_empty();
    is_plain.then(|| vector.clone())
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(inner) => number(&inner.expr),
        Expr::Unary(unary) => number(&unary.expr).map(|value| -value),
        _ => None,
    }
}

fn comparison(op: token::TokenId) -> Option<Comparison> {
    Some(match op {
        token::T_EQLC => Comparison::Equal,
        token::T_NEQ => Comparison::NotEqual,
        token::T_GTR => Comparison::Greater,
        token::T_GTE => Comparison::GreaterOrEqual,
        token::T_LSS => Comparison::Less,
        token::T_LTE => Comparison::LessOrEqual,
        _ => return None,
    })
}

impl Comparison {
    /// The same with its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }
}

/// The labels of a series as test files write it, its name among them: `up{job="shop"}`.
pub(crate) fn series(text: &str) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let selector = plain(text).filter(|selector| selector.compared.is_none())?;
    let mut labels: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    for matcher in &selector.vector.matchers.matchers {
        if !matches!(matcher.op, promql_parser::label::MatchOp::Equal) {
            return None;
        }
        labels.push((matcher.name.as_str().into(), matcher.value.as_str().into()));
    }
    if let Some(name) = &selector.vector.name {
        labels.push(("__name__".into(), name.as_str().into()));
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_selector_is_recognised_with_its_comparison() {
        let up = Labels::new(series(r#"up{job="shop"}"#).unwrap());
        for (expr, fits, zero, one) in [
            ("up", true, true, true),
            ("up == 0", true, true, false),
            (r#"(up{job=~"s.+"}) < 1"#, true, true, false),
            (r#"0 < up{job!="other"}"#, true, false, true),
            ("down == 0", false, true, false),
            (r#"up{job="other"} > -1"#, false, true, true),
        ] {
            let selector = plain(expr).unwrap();
            assert_eq!(
                (selector.fits(&up), selector.keeps(0.0), selector.keeps(1.0)),
                (fits, zero, one),
                "{expr}"
            );
        }
    }

    #[test]
    fn everything_else_needs_a_server() {
        for expr in
            ["rate(up[5m]) > 0", "up offset 5m", "up == bool 0", "a > b", "sum(up)", "up > 0 < 1", "1"]
        {
            assert!(plain(expr).is_none(), "{expr}");
        }
    }
}
