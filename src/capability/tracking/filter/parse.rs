//! The grammar: comparisons joined by AND. What each of them may say is decided in `rules`.

use super::lex::{Kind, Token, lex};
use super::{Filter, Invalid, Op, Target, rules};

/// A comparison as written, not yet checked against its target.
pub(super) struct Clause<'a> {
    pub name: &'a str,
    /// None for one that SQL has and this language has not, such as `<>`.
    pub op: Option<Op>,
    pub op_written: String,
    pub operand: Operand<'a>,
}

pub(super) enum Operand<'a> {
    Absent,
    One(Token<'a>),
    /// What stands between the parentheses, commas included.
    List(&'a [Token<'a>]),
}

/// Reads a filter such as `metrics.loss < 0.5 AND params.model = 'tree'`. Empty text is the empty filter.
///
/// # Errors
/// [`Invalid`] when the text does not follow the grammar, or asks what the target cannot answer.
pub fn parse(text: &str, target: Target) -> Result<Filter, Invalid> {
    let tokens = lex(text, target == Target::LoggedModels);
    let end = tokens.iter().position(|token| token.kind == Kind::Semicolon);
    if end.is_some_and(|end| end > 0 && end + 1 < tokens.len()) {
        return Err(Invalid(format!(
            "Search filter contained multiple expression {text:?}. Provide AND-ed expression list."
        )));
    }
    let mut clauses = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((head, tail)) = rest.split_first() {
        // MLflow minds neither a missing nor a surplus AND, and clients that build filters rely on it.
        if head.is("AND") {
            rest = tail;
            continue;
        }
        let (clause, tail) = clause(rest)?;
        clauses.push(clause);
        rest = tail;
    }
    let conditions = clauses.iter().map(|clause| rules::condition(clause, target)).collect::<Result<_, _>>()?;
    Ok(Filter { conditions })
}

type Parsed<'a> = (Clause<'a>, &'a [Token<'a>]);

fn clause<'a>(tokens: &'a [Token<'a>]) -> Result<Parsed<'a>, Invalid> {
    let Some((left, rest)) = tokens.split_first() else { return Err(misplaced(tokens)) };
    let Some((op, op_written, rest)) = operator(rest) else { return Err(misplaced(tokens)) };
    match left.kind {
        Kind::Word | Kind::Double => {}
        Kind::Number | Kind::Single => {
            return Err(Invalid(format!(
                "Invalid comparison clause. Expected 'Identifier' found '{}'. Write the name on the left.",
                left.raw
            )));
        }
        _ => return Err(misplaced(tokens)),
    }
    let (operand, rest) = match op {
        Some(Op::IsNull | Op::IsNotNull) => (Operand::Absent, rest),
        _ => operand(rest, matches!(op, Some(Op::In | Op::NotIn))).ok_or_else(|| misplaced(tokens))?,
    };
    Ok((Clause { name: left.raw, op, op_written, operand }, rest))
}

/// Operators in words; those without an [`Op`] are known to be refused by their name.
const WORDS: [(&[&str], Option<Op>); 11] = [
    (&["LIKE"], Some(Op::Like)),
    (&["ILIKE"], Some(Op::ILike)),
    (&["IN"], Some(Op::In)),
    (&["NOT", "IN"], Some(Op::NotIn)),
    (&["IS", "NULL"], Some(Op::IsNull)),
    (&["IS", "NOT", "NULL"], Some(Op::IsNotNull)),
    (&["RLIKE"], None),
    (&["REGEXP"], None),
    (&["NOT", "LIKE"], None),
    (&["NOT", "ILIKE"], None),
    (&["NOT", "RLIKE"], None),
];

type Operator<'a> = (Option<Op>, String, &'a [Token<'a>]);

fn operator<'a>(tokens: &'a [Token<'a>]) -> Option<Operator<'a>> {
    let (first, rest) = tokens.split_first()?;
    if first.kind == Kind::Symbol {
        let op = [Op::Eq, Op::Ne, Op::Gt, Op::Ge, Op::Lt, Op::Le].into_iter().find(|op| op.as_str() == first.raw);
        return Some((op, first.raw.to_owned(), rest));
    }
    WORDS.iter().find_map(|(words, op)| {
        let said = tokens.get(..words.len())?;
        let fits = said.iter().zip(*words).all(|(token, word)| token.is(word));
        fits.then(|| (*op, words.join(" "), &tokens[words.len()..]))
    })
}

/// Words that are no value even where a bare one is taken.
const KEYWORDS: [&str; 10] = ["AND", "OR", "NOT", "IS", "IN", "LIKE", "ILIKE", "BETWEEN", "TRUE", "FALSE"];

fn operand<'a>(tokens: &'a [Token<'a>], only_list: bool) -> Option<(Operand<'a>, &'a [Token<'a>])> {
    let (first, rest) = tokens.split_first()?;
    match first.kind {
        Kind::Open => {
            let close = rest.iter().position(|token| token.kind == Kind::Close)?;
            Some((Operand::List(&rest[..close]), &rest[close + 1..]))
        }
        _ if only_list || KEYWORDS.iter().any(|word| first.is(word)) => None,
        Kind::Word | Kind::Single | Kind::Double | Kind::Number => Some((Operand::One(*first), rest)),
        _ => None,
    }
}

/// Names the first tokens from where it went wrong.
fn misplaced(tokens: &[Token<'_>]) -> Invalid {
    let shown: Vec<String> = tokens.iter().take(3).map(|token| format!("'{}'", token.raw)).collect();
    Invalid(format!(
        "Invalid clause(s) in filter string: {}. Write comparisons such as metrics.loss < 0.5 or tags.team = 'x', \
         joined by AND; there is no OR, no parentheses and no BETWEEN, and a name with other characters than \
         letters, digits, '_' and '.' goes between backticks.",
        shown.join(", ")
    ))
}
