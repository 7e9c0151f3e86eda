//! SQL's LIKE: `%` stands for any run of characters, `_` for exactly one; nothing else is special.

/// Whether the whole text fits the pattern.
///
/// Takes at most pattern length times text length steps: a mismatch only ever goes back to the last `%`,
/// because what an earlier one could swallow the last one can swallow as well.
pub fn like(pattern: &str, text: &str, case_insensitive: bool) -> bool {
    let mut wanted = pattern.chars();
    let mut actual = text.chars();
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let text_here = actual.clone();
        match (wanted.next(), actual.next()) {
            (Some('%'), _) => {
                retry = Some((wanted.clone(), text_here.clone()));
                actual = text_here;
                if wanted.as_str().is_empty() {
                    return true;
                }
            }
            (Some(want), Some(have)) if want == '_' || same(want, have, case_insensitive) => {}
            (None, None) => return true,
            // Out of text, and what is left of the pattern is not only `%` (that is the first arm).
            (Some(_), None) => return false,
            _ => {
                let Some((after, mut from)) = retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                wanted = after.clone();
                actual = from.clone();
                retry = Some((after, from));
            }
        }
    }
}

fn same(one: char, other: char, case_insensitive: bool) -> bool {
    one == other || (case_insensitive && one.to_lowercase().eq(other.to_lowercase()))
}
