//! The encoding of a new database for a dump that does not name that of its own: a pure decision.

use crate::database_state::DatabaseState;

/// Encodings that only clients may have.
const OF_CLIENTS: [&str; 7] = ["BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"];
const UTF8: &str = "UTF8";
const LIBC: &str = "c";

/// The encoding of the dump's text, if a database with the locale of the template can have it; else that of
/// the template.
pub fn choose<'a>(template: &'a DatabaseState, text: Option<&'a str>) -> &'a str {
    text.filter(|text| fits(template, text)).unwrap_or(&template.encoding)
}

fn fits(template: &DatabaseState, encoding: &str) -> bool {
    let is_libc = template.locale_provider.as_deref().is_none_or(|provider| provider == LIBC);
    let fits_locale = |locale: &String| match locale.as_str() {
        "C" | "POSIX" => true,
        locale => encoding == UTF8 && is_utf8(locale),
    };
    let fits_locales = [&template.collate, &template.ctype].into_iter().all(fits_locale);
    is_libc && fits_locales && !OF_CLIENTS.contains(&encoding)
}

/// Whether a locale names this encoding, as `de_DE.utf8` and `C.UTF-8` do.
fn is_utf8(locale: &str) -> bool {
    let codeset = locale.split_once('.').map_or("", |(_, codeset)| codeset);
    let codeset = codeset.split('@').next().unwrap_or_default();
    codeset.replace('-', "").eq_ignore_ascii_case(UTF8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_gets_the_encoding_of_the_dumps_text_where_its_locale_allows() {
        for (encoding, locale, provider, text, expected) in [
            ("SQL_ASCII", "C", "c", "UTF8", "UTF8"),
            ("SQL_ASCII", "C", "c", "LATIN1", "LATIN1"),
            ("UTF8", "POSIX", "c", "SQL_ASCII", "SQL_ASCII"),
            ("SQL_ASCII", "C", "c", "SJIS", "SQL_ASCII"),
            ("SQL_ASCII", "de_DE.utf8@euro", "c", "UTF8", "UTF8"),
            ("UTF8", "C.UTF-8", "c", "LATIN1", "UTF8"),
            ("UTF8", "C.UTF-8", "c", "SQL_ASCII", "UTF8"),
            ("LATIN1", "de_DE", "c", "UTF8", "LATIN1"),
            ("UTF8", "C", "i", "LATIN1", "UTF8"),
        ] {
            let template = DatabaseState {
                encoding: encoding.into(),
                collate: locale.into(),
                ctype: locale.into(),
                locale_provider: Some(provider.into()),
                ..DatabaseState::default()
            };
            assert_eq!(choose(&template, Some(text)), expected, "{encoding} {locale} {text}");
            assert_eq!(choose(&template, None), encoding);
        }
    }
}
