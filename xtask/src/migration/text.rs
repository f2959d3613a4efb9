//! Finds code, words, statements and names in SQL text. It knows no grammar except quoting.

use std::collections::BTreeSet;

/// The schemas whose objects depend on each other by name.
const OURS: [&str; 2] = ["unstuck", "unstuck_private"];

/// What [`blanked`] replaces by blanks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Blank {
    Comments,
    /// Comments, strings, and dollar-quoted texts with their quotes.
    AllButCode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Code,
    Comment,
    Quoted,
}

/// The text with blanks in place of what `blank` names. The number of bytes and lines stays the
/// same.
pub fn blanked(sql: &str, blank: Blank) -> String {
    let mut out = String::with_capacity(sql.len());
    for (piece, text) in pieces(sql) {
        let keep = match piece {
            Piece::Code => true,
            Piece::Comment => false,
            Piece::Quoted => blank == Blank::Comments,
        };
        if keep {
            out.push_str(text);
        } else {
            out.extend(text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        }
    }
    out
}

/// The words of the code and each quoted text as it is, without the comments between them.
pub fn code(sql: &str) -> Vec<&str> {
    let mut code = Vec::new();
    for (piece, text) in pieces(sql) {
        match piece {
            Piece::Code => code.extend(text.split_whitespace()),
            Piece::Comment => {}
            Piece::Quoted => code.push(text),
        }
    }
    code
}

/// Like [`blanked`] with `AllButCode`, but it keeps bodies: dollar-quoted texts after `as` or `do`.
pub fn with_bodies(sql: &str) -> String {
    let mut code = blanked(sql, Blank::AllButCode);
    let mut at = 0;
    for (piece, text) in pieces(sql) {
        let tag = text.starts_with('$').then(|| text[1..].find('$').map(|end| end + 2)).flatten();
        if let (Piece::Quoted, Some(tag)) = (piece, tag)
            && text.len() >= 2 * tag
            && words(&code[..at]).last().is_some_and(|word| word == "as" || word == "do")
        {
            let inner = at + tag..at + text.len() - tag;
            code.replace_range(inner.clone(), &with_bodies(&sql[inner]));
        }
        at += text.len();
    }
    code
}

fn pieces(sql: &str) -> Vec<(Piece, &str)> {
    let mut pieces = Vec::new();
    let (mut at, mut code_from) = (0, 0);
    while let Some(rest) = sql.get(at..).filter(|rest| !rest.is_empty()) {
        let before = sql[..at].chars().next_back();
        match quoted(rest, before) {
            Some((piece, length)) => {
                if code_from < at {
                    pieces.push((Piece::Code, &sql[code_from..at]));
                }
                pieces.push((piece, &sql[at..at + length]));
                at += length;
                code_from = at;
            }
            None => {
                at += name_in_quotes(rest)
                    .or_else(|| rest.chars().next().map(char::len_utf8))
                    .unwrap_or(1)
            }
        }
    }
    if code_from < sql.len() {
        pieces.push((Piece::Code, &sql[code_from..]));
    }
    pieces
}

/// The comment, string or dollar-quoted text that begins here, and its length.
fn quoted(rest: &str, before: Option<char>) -> Option<(Piece, usize)> {
    if rest.starts_with("--") {
        return Some((Piece::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((Piece::Comment, block_comment(rest)));
    }
    if rest.starts_with('\'') {
        let escapes = before.is_some_and(|letter| letter.eq_ignore_ascii_case(&'e'));
        return Some((Piece::Quoted, string(rest, escapes)));
    }
    if rest.starts_with('$') && !before.is_some_and(in_word) {
        let tag = rest[1..].find('$').map(|end| &rest[..end + 2])?;
        let named = tag[1..tag.len() - 1].chars().all(in_word);
        let numbered = tag[1..].starts_with(|letter: char| letter.is_ascii_digit());
        if named && !numbered {
            let end = rest[tag.len()..].find(tag).map_or(rest.len(), |end| end + 2 * tag.len());
            return Some((Piece::Quoted, end));
        }
    }
    None
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str, escapes: bool) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if escapes => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn name_in_quotes(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('"')?;
    Some(inner.find('"').map_or(rest.len(), |end| end + 2))
}

fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The words and signs of the code in lower case; a qualified name is one word.
pub fn words(code: &str) -> Vec<String> {
    let joins = |letter: char| in_word(letter) || letter == '.' || letter == '"';
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for letter in code.chars() {
        if letter.is_whitespace() {
            open = false;
        } else if joins(letter) && open {
            words.last_mut().unwrap_or(&mut String::new()).extend(letter.to_lowercase());
        } else {
            open = joins(letter);
            words.push(letter.to_lowercase().collect());
        }
    }
    words
}

/// Each statement with the comments before it, without its semicolon.
pub fn statements(sql: &str) -> Vec<&str> {
    let code = blanked(sql, Blank::AllButCode);
    let mut statements = Vec::new();
    let mut from = 0;
    for (at, _) in code.match_indices(';') {
        statements.push(&sql[from..at]);
        from = at + 1;
    }
    if !code[from..].trim().is_empty() {
        statements.push(&sql[from..]);
    }
    statements
}

/// The qualified names of our schemas, outside of comments, strings and bodies.
pub fn mentions(sql: &str) -> BTreeSet<String> {
    let words = words(&blanked(sql, Blank::AllButCode));
    words.iter().filter_map(|word| ours(word)).collect()
}

/// The qualified names of our schemas, including those in bodies and strings.
pub fn mentions_in_bodies(sql: &str) -> BTreeSet<String> {
    words(&blanked(sql, Blank::Comments)).iter().filter_map(|word| ours(word)).collect()
}

fn ours(word: &str) -> Option<String> {
    let word = word.replace('"', "");
    let mut parts = word.split('.');
    let (schema, name) = (parts.next()?, parts.next()?);
    (OURS.contains(&schema) && !name.is_empty()).then(|| format!("{schema}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_dollar_quotes_are_no_code() {
        let sql =
            "select 'a;''b', e'\\';', $x$ ; $$ $x$, \"a;b\" -- it's ;\n/* ; /* ; */ ; */ from t";
        let code = blanked(sql, Blank::AllButCode);
        assert_eq!(code.len(), sql.len());
        assert_eq!(code.lines().count(), 2);
        assert_eq!(words(&code).join(" "), "select , e , , \"a ; b\" from t");
        assert!(blanked(sql, Blank::Comments).contains("$x$ ; $$ $x$"));
    }

    #[test]
    fn a_dollar_sign_within_a_name_or_before_a_number_opens_nothing() {
        assert_eq!(words(&blanked("a$b$ c, $1$ d", Blank::AllButCode)).len(), 10);
    }

    #[test]
    fn a_body_is_code_and_a_comment_is_prose() {
        let sql = "create f as $$ a; 'b;' -- c;\n d; $$;\n\
                   comment on f is $c$ It's; so. $c$;\ndo $x$ e; $x$;";
        let code = with_bodies(sql);
        assert_eq!(code.len(), sql.len());
        let lines: Vec<_> = code.lines().map(|line| words(line).join(" ")).collect();
        assert_eq!(lines, ["create f as a ;", "d ; ;", "comment on f is ;", "do e ; ;"]);
    }

    #[test]
    fn statements_end_outside_of_quotes_only() {
        let sql = "create a as $$ x; y; $$;\n-- of b;\ncreate b;\n";
        assert_eq!(statements(sql), ["create a as $$ x; y; $$", "\n-- of b;\ncreate b"]);
    }

    #[test]
    fn mentions_are_of_our_schemas_and_of_code() {
        let sql = "create view unstuck.a as select unstuck_private.f(x.b), ''
            from \"unstuck\".\"c\" x -- unstuck.d
            where 'unstuck.e' = $$ unstuck.f $$ and unstuck.jobs.id = auth.uid()";
        let names: Vec<String> = mentions(sql).into_iter().collect();
        assert_eq!(names, ["unstuck.a", "unstuck.c", "unstuck.jobs", "unstuck_private.f"]);
    }
}
