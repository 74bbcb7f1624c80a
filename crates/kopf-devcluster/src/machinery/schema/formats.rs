//! The formats of texts that are checked (D-078); other formats are ignored.

use std::{net::IpAddr, sync::LazyLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::Regex;

use crate::machinery::names;

/// Whether a text has a format. Dashes in the name of a format do not matter; unknown formats match anything.
pub(super) fn matches(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "bsonobjectid" => text.len() == 24 && is_hex(text),
        "uri" => is_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.contains('.') && text.parse::<IpAddr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<IpAddr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => SSN.is_match(text),
        "hexcolor" => HEX_COLOR.is_match(text),
        "rgbcolor" => RGB_COLOR.is_match(text),
        "byte" => !text.is_empty() && STANDARD.decode(text).is_ok(),
        "date" => is_date(text),
        "datetime" => is_date_time(text),
        "duration" => is_duration(text),
        "k8sshortname" => names::dns_1123_label(text).is_empty(),
        "k8slongname" => names::dns_1123_subdomain(text).is_empty(),
        _ => true,
    }
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns of this file are valid, as their tests show")
}

static SSN: LazyLock<Regex> = LazyLock::new(|| compiled(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"));
static HEX_COLOR: LazyLock<Regex> = LazyLock::new(|| compiled(r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"));
static RGB_COLOR: LazyLock<Regex> = LazyLock::new(|| {
    let part = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*";
    compiled(&format!(r"^rgb\({part},{part},{part}\)$"))
});
static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| {
    // Letters and symbols of any script; the last label has letters only, unless it is the only one.
    let outer = r"[a-zA-Z0-9\p{S}\p{L}]";
    let label = format!(r"{outer}([a-zA-Z0-9\-\p{{S}}\p{{L}}]{{0,61}}{outer})?");
    compiled(&format!(r"^({outer}(-?{outer}{{0,62}})?|({label}\.)+[a-zA-Z\p{{L}}]{{2,63}})$"))
});

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63) && HOSTNAME.is_match(text)
}

/// An absolute URI or an absolute path.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(char::is_control) {
        return false;
    }
    let rest = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ if text.starts_with('/') => text,
        _ => return false,
    };
    let authority =
        rest.strip_prefix("//").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let is_authority_fine = authority.is_none_or(|authority| {
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let port = host.rsplit_once(':').filter(|(host, _)| !host.starts_with('[') || host.ends_with(']'));
        !authority.contains([' ', '<', '>', '"'])
            && port.is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
    });
    is_authority_fine && has_whole_escapes(rest)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'))
}

/// Whether each `%` is followed by two hexadecimal digits.
fn has_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.get(..2).is_some_and(is_hex))
}

/// `a@b`, or `Name <a@b>`.
fn is_email(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => match rest.trim_end().strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text.trim(),
    };
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .chars()
                .all(|char| !char.is_control() && !char.is_whitespace() && !r#"()<>[]:;@\,""#.contains(char))
    };
    let is_quoted = |local: &str| local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let is_literal = |domain: &str| domain.starts_with('[') && domain.ends_with(']');
    address.rsplit_once('@').is_some_and(|(local, domain)| {
        (is_quoted(local) || local.split('.').all(is_atom))
            && (is_literal(domain) || domain.split('.').all(is_atom))
    })
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let bits = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        let is_plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        is_plain && length.parse::<u32>().is_ok_and(|length| length <= bits)
    })
}

/// 6, 8 or 20 bytes as pairs of digits with colons or dashes, or as fours with dots.
fn is_mac(text: &str) -> bool {
    let is_grouped = |separator: char, width: usize| {
        let groups: Vec<_> = text.split(separator).collect();
        let bytes = groups.len() * width / 2;
        matches!(bytes, 6 | 8 | 20) && groups.iter().all(|group| group.len() == width && is_hex(group))
    };
    is_grouped(':', 2) || is_grouped('-', 2) || is_grouped('.', 4)
}

/// 32 hexadecimal digits with optional dashes in the usual places.
fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut rest = text;
    for (index, width) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some(group) = rest.get(..width).filter(|group| is_hex(group)) else { return false };
        let is_version_fine = index != 2 || version.is_none_or(|version| group.starts_with(version));
        let has_variant = matches!(version, Some('4' | '5'));
        let is_variant_fine = index != 3 || !has_variant || group.starts_with(['8', '9', 'a', 'b', 'A', 'B']);
        if !is_version_fine || !is_variant_fine {
            return false;
        }
        rest = &rest[width..];
    }
    rest.is_empty()
}

fn is_isbn10(text: &str) -> bool {
    let digits: Vec<_> = text.chars().filter(|char| !matches!(char, ' ' | '-')).collect();
    let value = |(index, char): (usize, &char)| match char {
        'X' if index == 9 => Some(10),
        _ => char.to_digit(10),
    };
    let values: Option<Vec<u32>> = digits.iter().enumerate().map(value).collect();
    digits.len() == 10
        && values.is_some_and(|values| {
            values.iter().zip(1..).map(|(value, weight)| value * weight).sum::<u32>() % 11 == 0
        })
}

fn is_isbn13(text: &str) -> bool {
    let digits: Vec<_> = text.chars().filter(|char| !matches!(char, ' ' | '-')).collect();
    let values: Option<Vec<u32>> = digits.iter().map(|char| char.to_digit(10)).collect();
    digits.len() == 13
        && values.is_some_and(|values| {
            let weighted =
                values.iter().enumerate().map(|(index, value)| value * (1 + 2 * (index as u32 % 2)));
            weighted.sum::<u32>() % 10 == 0
        })
}

/// Thirteen to sixteen digits, with others between, whose check digit is right.
fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|char| char.to_digit(10)).collect();
    let doubled = |(index, digit): (usize, &u32)| match index % 2 {
        0 => *digit,
        _ if digit * 2 > 9 => digit * 2 - 9,
        _ => digit * 2,
    };
    (13..=16).contains(&digits.len())
        && digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
        && matches!(digits[0], 1..=6)
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.is_ascii()
        && jiff::fmt::strtime::parse("%Y-%m-%d", text).is_ok_and(|date| date.to_date().is_ok())
}

/// A date, a `T`, a time with any fraction, and `Z` or an offset.
fn is_date_time(text: &str) -> bool {
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        compiled(r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$")
    });
    let text = text.to_ascii_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    let Some(parts) = TIME.captures(time) else { return false };
    is_date(date) && &parts[1] <= "23" && &parts[2] <= "59" && &parts[3] <= "59"
}

/// As Go has it (`1h30m`), or a number and a unit in words (`3 days`).
fn is_duration(text: &str) -> bool {
    static GO: LazyLock<Regex> =
        LazyLock::new(|| compiled(r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$"));
    // Of the words, those that begin with the last one count too: `secs`, `seconds`.
    static WORDS: LazyLock<Regex> = LazyLock::new(|| {
        compiled(
            r"(?i)\d+\s*(ns|nano\w*|us|µs|micro\w*|ms|milli\w*|s|sec\w*|m|min\w*|h|hr|hour\w*|d|day\w*|w|wk|week\w*)([^A-Za-zµ]|$)",
        )
    });
    GO.is_match(text) || WORDS.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-078.
    #[test]
    fn each_format_accepts_good_and_refuses_bad_texts() {
        for (format, good, bad) in [
            ("date-time", "2020-01-02T03:04:05.678Z", "yesterday"),
            ("datetime", "2020-01-02t03:04:05+01:00", "2020-01-02T24:04:05Z"),
            ("date-time", "2020-02-29T00:00:00Z", "2021-02-29T00:00:00Z"),
            ("date", "2020-02-29", "2020-2-29"),
            ("duration", "1h30m", "1x"),
            ("duration", "3 days", "days"),
            ("byte", "aGVsbG8=", "not base64!"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "00:00:5e:00:53:01", "00:00:5e:00:53"),
            ("uri", "https://example.com:80/a?b#c", "example.com"),
            ("uri", "/a/b", "http://a b/"),
            ("hostname", "a-b.example.com", "-a.example.com"),
            ("hostname", "localhost", "a_b"),
            ("email", "a.b@example.com", "a.example.com"),
            ("uuid", "123e4567-E89B-12d3-a456-426614174000", "123e4567"),
            ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            ("isbn10", "0-321-75104-3", "0-321-75104-4"),
            ("isbn13", "978-0321751041", "978-0321751042"),
            ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
            ("ssn", "111-22-3333", "111-22-333"),
            ("hexcolor", "#FFF", "#FFFF"),
            ("rgbcolor", "rgb(0, 128,255)", "rgb(0,0,256)"),
            ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
            ("k8s-short-name", "a-b", "a.b"),
            ("k8s-long-name", "a.b", "A"),
        ] {
            assert!(matches(format, good), "{format} {good}");
            assert!(!matches(format, bad), "{format} {bad}");
        }
        assert!(matches("password", "") && matches("unheard-of", "x"));
    }
}
