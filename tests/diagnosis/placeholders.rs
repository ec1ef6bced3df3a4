//! Placeholders against the real parsers: whatever a label's value is, the query's tree differs in that literal only,
//! and the URL leads to the same host and path.

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use proptest::prelude::*;
use runbookd::domain::labels::Labels;
use runbookd::domain::placeholder::{in_query, in_url};

/// Queries with the label `service` in strings of every kind; what stands before and after it in its literal.
const QUERIES: [(&str, &str, &str); 7] = [
    (r#"up{service="$service"}"#, "", ""),
    ("sum by (pod) (rate(x{a='1', service!='$service'}[5m])) > 0.5 or vector(1)", "", ""),
    ("up{service=`$service`} unless on(pod) down{service=`b`}", "", ""),
    (r#"topk(5, rate(x{service=~"$service-.+"}[5m]))"#, "", "-.+"),
    (r"up{service!~'(a|$service)\\d'}", "(a|", r")\d"),
    (r"up{service=~`x\.$service$`} # $service", r"x\.", "$"),
    (r#"label_replace(up{service="\"$service\\"}, "a", "$1", "b", "(.*)")"#, "\"", "\\"),
];

/// Values that want to be more than a value, and any other.
fn value() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("`".to_owned()),
        Just("\\".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\\n".to_owned()),
        Just(r#""} or vector(1) #"#.to_owned()),
        Just("$service".to_owned()),
        Just("$".to_owned()),
        Just(".*".to_owned()),
        Just("|".to_owned()),
        Just("(?i)[a".to_owned()),
        Just("{2}".to_owned()),
        Just("../".to_owned()),
        Just("@".to_owned()),
        Just("%2e".to_owned()),
        "[a-z]{1,4}",
        ".{0,3}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(pieces, 1..6)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("there is one", |it| !it.is_empty())
}

/// Every selector of a query, in order.
fn selectors(query: &str) -> Vec<VectorSelector> {
    struct Found(Vec<VectorSelector>);
    impl ExprVisitor for Found {
        type Error = ();
        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, ()> {
            match expr {
                Expr::VectorSelector(selector) => self.0.push(selector.clone()),
                Expr::MatrixSelector(matrix) => self.0.push(matrix.vs.clone()),
                _ => {}
            }
            Ok(true)
        }
    }
    let tree = promql_parser::parser::parse(query).unwrap_or_else(|why| panic!("{query}: {why}"));
    let mut found = Found(Vec::new());
    walk_expr(&mut found, &tree).unwrap();
    found.0
}

/// A tree in words, with the literal that holds the value taken out.
fn without(query: &str, literal: &str) -> String {
    let tree = promql_parser::parser::parse(query).unwrap_or_else(|why| panic!("{query}: {why}"));
    format!("{tree:?}")
        .replace(&format!("{:?}", format!("^(?:{literal})$")), "REGEX")
        .replace(&format!("{literal:?}"), "LITERAL")
}

/// What a regular expression of RE2 is made of, written down once more on its own.
fn quoted(value: &str) -> String {
    value.chars().flat_map(|c| r"\.+*?()|[]{}^$".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

proptest! {
    #[test]
    fn whatever_a_label_says_the_query_differs_in_that_literal_only(value in value(), which in 0..QUERIES.len()) {
        let (template, before, after) = QUERIES[which];
        // The mark makes the literal unlike any other text of the query.
        let (plain, odd) = ("plainmark".to_owned(), format!("{value}mark"));
        let fill = |value: &str| in_query(template, &Labels::new([("service", value)])).unwrap();
        let regex = template.contains('~');
        let literal = |value: &str| {
            let value = if regex { quoted(value) } else { value.to_owned() };
            format!("{before}{value}{after}")
        };
        prop_assert_eq!(without(&fill(&plain), &literal(&plain)), without(&fill(&odd), &literal(&odd)));

        // Without a mark too, and with exactly this value.
        let filled = fill(&value);
        let there = selectors(&filled);
        prop_assert_eq!(there.len(), selectors(&fill("plain")).len(), "{}", filled);
        let matcher = there.iter().flat_map(|it| &it.matchers.matchers).find(|it| it.name == "service").unwrap();
        prop_assert_eq!(&matcher.value, &literal(&value));
        if let MatchOp::Re(regex) = &matcher.op && template.contains("-.+") {
            let with_pod = format!("{value}-pod");
            prop_assert!(regex.is_match(&with_pod) || with_pod.contains('\n'));
            let another = format!("y{value}-pod");
            prop_assert!(!regex.is_match(&another));
        }
    }

    #[test]
    fn whatever_a_label_says_the_url_leads_to_the_same_place(value in value()) {
        let template = "https://$service.shop.svc:8443/d/$service/x?v=$service&w=1#$service";
        let labels = Labels::new([("service", value.as_str())]);
        let path = "https://grafana.example.org/d/$service/x?v=$service&w=1#$service";
        if let Ok(filled) = in_url(template, &labels) {
            let url = reqwest::Url::parse(&filled).unwrap();
            prop_assert_eq!(url.host_str().unwrap(), format!("{}.shop.svc", value.to_ascii_lowercase()));
            prop_assert_eq!(url.port(), Some(8443));
        }
        if let Ok(filled) = in_url(path, &labels) {
            let url = reqwest::Url::parse(&filled).unwrap();
            prop_assert_eq!(url.host_str(), Some("grafana.example.org"));
            prop_assert!(url.username().is_empty() && url.port().is_none());
            prop_assert_eq!(url.path_segments().unwrap().count(), 3, "{}", filled);
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, vec![("v".to_owned(), value.clone()), ("w".to_owned(), "1".to_owned())]);
        } else {
            prop_assert!(value == "." || value == "..");
        }
    }
}
