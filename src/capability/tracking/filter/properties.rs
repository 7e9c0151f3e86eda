//! LIKE against its definition, printing against parsing, and texts nobody meant.

use proptest::prelude::*;

use super::*;

#[test]
fn like_knows_two_wildcards() {
    for (pattern, text, met) in [
        ("", "", true),
        ("", "a", false),
        ("%", "", true),
        ("_", "", false),
        ("%_", "a", true),
        ("a%b%c", "axxbyybzc", true),
        ("a%b%c", "axxbyyb", false),
        ("%ab", "aab", true),
        ("_é_", "xéy", true),
        ("É", "é", false),
        ("a.c", "abc", false),
        ("%\n%", "a\nb", true),
    ] {
        assert_eq!(like(pattern, text, false), met, "{pattern} {text}");
    }
    assert!(like("É%ß", "éxß", true) && like("STRASSE", "strasse", true));
}

#[test]
fn like_does_not_blow_up() {
    let text = "a".repeat(8_000);
    assert!(!like(&("%a".repeat(200) + "b"), &text, false));
    assert!(!like(&("a%".repeat(2_000) + "_b"), &text, true));
}

/// LIKE as it is defined.
fn like_defined(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['%', rest @ ..], _) => (0..=text.len()).any(|skipped| like_defined(rest, &text[skipped..])),
        (['_', rest @ ..], [_, tail @ ..]) => like_defined(rest, tail),
        ([want, rest @ ..], [have, tail @ ..]) => want == have && like_defined(rest, tail),
        _ => false,
    }
}

fn any_target() -> impl Strategy<Value = Target> {
    use Target::*;
    prop_oneof![Just(Runs), Just(Experiments), Just(LoggedModels), Just(RegisteredModels), Just(ModelVersions)]
}

/// Conditions every run search takes, with keys and texts of any characters.
fn any_condition() -> impl Strategy<Value = Condition> {
    let six = prop_oneof![Just(Op::Eq), Just(Op::Ne), Just(Op::Gt), Just(Op::Ge), Just(Op::Lt), Just(Op::Le)].boxed();
    let four = prop_oneof![Just(Op::Eq), Just(Op::Ne), Just(Op::Like), Just(Op::ILike)];
    let number = any::<f64>().prop_filter("NaN has no literal", |x| !x.is_nan());
    let named = prop_oneof![Just(Entity::Param), Just(Entity::Tag)].boxed();
    let make = |entity, key: &str, op, value| Condition { entity, key: key.into(), op, value };
    prop_oneof![
        (".{0,8}", six.clone(), number).prop_map(move |(k, op, x)| make(Entity::Metric, &k, op, Value::Number(x))),
        (six, any::<i64>()).prop_map(move |(op, x)| make(Entity::Attribute, "end_time", op, Value::Integer(x))),
        (named.clone(), ".{0,8}", four, ".{0,12}").prop_map(move |(e, k, op, x)| make(e, &k, op, Value::Text(x))),
        (named, ".{0,8}", any::<bool>())
            .prop_map(move |(e, k, null)| { make(e, &k, if null { Op::IsNull } else { Op::IsNotNull }, Value::None) }),
        (proptest::collection::vec(".{0,6}", 1..4), any::<bool>()).prop_map(move |(list, within)| {
            make(Entity::Dataset, "name", if within { Op::In } else { Op::NotIn }, Value::List(list))
        }),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}", target in any_target()) {
        let _ = (parse(&text, target), parse_order_by(&text, target), logged_model_order(&text, true));
    }

    #[test]
    fn no_mix_of_pieces_makes_the_parser_panic(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "metrics", "tags.", ".", "`", "'", "\"", "name", "=", "!=", " ", "IN", "(", ")", ",", "NOT", "NULL",
                "IS", "AND", "1", "-", "1e", "e9", "é", ";", "LIKE", "\\", "%", "\0", "status",
            ]),
            0..24,
        ),
        target in any_target(),
    ) {
        let text = pieces.concat();
        let _ = parse_order_by(&text, target);
        if let Ok(filter) = parse(&text, target) {
            prop_assert_eq!(parse(&filter.to_string(), target), Ok(filter));
        }
    }

    #[test]
    fn a_printed_filter_reads_back(conditions in proptest::collection::vec(any_condition(), 0..4)) {
        let filter = Filter { conditions };
        prop_assert_eq!(parse(&filter.to_string(), Target::Runs), Ok(filter));
    }

    #[test]
    fn like_is_what_it_is_defined_as(pattern in "[ab%_]{0,8}", text in "[ab]{0,10}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(like(&pattern, &text, false), like_defined(&chars(&pattern), &chars(&text)));
        let folded = like_defined(&chars(&pattern), &chars(&text));
        prop_assert_eq!(like(&pattern.to_uppercase(), &text, true), folded);
    }
}
