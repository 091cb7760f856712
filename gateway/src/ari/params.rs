// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The parameters of a request: of its query, and of its body, which Asterisk reads as well. Of
//! those of one name Asterisk takes the last, and to it a form's come before those of the query; a
//! JSON member goes before all. So it is here, or what is looked at is not what a node does.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::text::{decode, encode};
use super::{Refusal, lists};

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// None, or one of a type that Asterisk does not look at.
    Ignored,
    Json,
    Form,
}

impl BodyKind {
    pub(crate) fn of(content_type: Option<&str>) -> Self {
        let kind = content_type.unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::Form
        } else {
            Self::Ignored
        }
    }
}

/// Texts that a person wrote, in which control characters mean something.
const FREE: [&str; 4] = ["value", "body", "data", "appArgs"];

/// What names something: in a JSON body only a text will do.
const NAMES: [&str; 10] = [
    "channelId",
    "otherChannelId",
    "bridgeId",
    "playbackId",
    "snoopId",
    "name",
    "app",
    "application",
    "originator",
    "caller",
];

/// All parameters.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Params {
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    json: Map<String, Value>,
}

impl Params {
    /// Reads the query as it came, and the body.
    pub(crate) fn parse(query: &str, kind: BodyKind, body: &[u8]) -> Result<Self, Refusal> {
        let mut params = Self { query: pairs(query)?, ..Self::default() };
        match kind {
            _ if body.is_empty() => {}
            BodyKind::Ignored => {}
            BodyKind::Form => {
                let form = std::str::from_utf8(body);
                params.form = pairs(form.map_err(|_| unreadable())?)?;
            }
            BodyKind::Json => match serde_json::from_slice(body) {
                Ok(Value::Object(members)) => params.json = members,
                // What Asterisk takes for no body at all.
                Ok(Value::Null) => {}
                _ => return Err(unreadable()),
            },
        }
        for (name, value) in &params.json {
            if NAMES.contains(&name.as_str()) && !value.is_string() {
                return Err(Refusal::bad(format!("{name} in the body is no text")));
            }
            if let Value::String(text) = value {
                check(name, text)?;
            }
        }
        for name in lists::LISTS {
            params.settle(name)?;
        }
        Ok(params)
    }

    /// Looks at a list, and puts what was read of it into the query, in place of what came: so a
    /// node gets what was judged.
    fn settle(&mut self, name: &str) -> Result<(), Refusal> {
        let given = self.all(name);
        let count = self.query.len() + self.form.len();
        self.query.retain(|(key, _)| key != name);
        self.form.retain(|(key, _)| key != name);
        if let Some(member) = self.json.get(name) {
            for element in lists::members(name, member)? {
                check(name, element)?;
                lists::check(name, element)?;
            }
        } else if self.query.len() + self.form.len() < count {
            given.iter().try_for_each(|element| lists::check(name, element))?;
            self.query.push((name.to_owned(), given.join(",")));
        }
        Ok(())
    }

    /// The parameter that counts.
    pub(crate) fn last(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(member) = self.json.get(name) {
            return Some(match member {
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            });
        }
        let pairs = self.form.iter().chain(&self.query);
        pairs.rev().find(|(key, _)| key == name).map(|(_, value)| Cow::Borrowed(value.as_str()))
    }

    /// The parameter that counts, when it is not empty.
    pub(crate) fn given(&self, name: &str) -> Option<Cow<'_, str>> {
        self.last(name).filter(|text| !text.is_empty())
    }

    /// Whether it says yes, in one of Asterisk's words for it.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.is_one_of(name, &["true", "yes", "y", "t", "1", "on"])
    }

    /// Whether it says no.
    pub(crate) fn is_false(&self, name: &str) -> bool {
        self.is_one_of(name, &["false", "no", "n", "f", "0", "off"])
    }

    fn is_one_of(&self, name: &str, words: &[&str]) -> bool {
        let is_word = |text: Cow<'_, str>| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        self.last(name).is_some_and(is_word)
    }

    /// Whether the body says so and would go before what a query adds.
    pub(crate) fn is_in_json(&self, name: &str) -> bool {
        self.json.contains_key(name)
    }

    /// All values of a parameter that there may be several of; commas separate them too.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        match self.json.get(name) {
            Some(Value::Array(values)) => {
                values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
            }
            Some(Value::String(text)) => lists::elements(text).map(str::to_owned).collect(),
            _ => {
                let pairs = self.form.iter().chain(&self.query);
                let texts = pairs.filter(|(key, _)| key == name).map(|(_, value)| value);
                texts.flat_map(|text| lists::elements(text)).map(str::to_owned).collect()
            }
        }
    }

    /// A parameter for the gateway, taken out of the query: no node gets to see it.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let taken = self.query.iter().rev().find(|(key, _)| key == name);
        let taken = taken.map(|(_, value)| value.clone());
        self.query.retain(|(key, _)| key != name);
        taken
    }

    /// The query for a node, encoded anew, with a `?` unless it is empty.
    pub(crate) fn query(&self, more: Option<(&str, &str)>, without: Option<&str>) -> String {
        let own = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own.filter(|(name, _)| Some(*name) != without);
        let mut query = String::new();
        for (name, value) in own.chain(more) {
            query.push(if query.is_empty() { '?' } else { '&' });
            encode(name, &mut query);
            query.push('=');
            encode(value, &mut query);
        }
        query
    }
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        check(&name, &value)?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// A line end in a name or a number would end up in Asterisk's own line protocols.
fn check(name: &str, value: &str) -> Result<(), Refusal> {
    let is_fine = |text: &str| !text.chars().any(char::is_control);
    if !is_fine(name) || value.contains('\0') || !(FREE.contains(&name) || is_fine(value)) {
        return Err(Refusal::bad(format!(
            "parameter {:?} has control characters",
            name.chars().take(40).collect::<String>()
        )));
    }
    Ok(())
}

fn unreadable() -> Refusal {
    Refusal::bad("Failed to parse the request body")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str, kind: BodyKind, body: &str) -> Params {
        Params::parse(query, kind, body.as_bytes()).unwrap()
    }

    #[test]
    fn what_counts_is_what_asterisk_takes() {
        let last = |query, kind, body| of(query, kind, body).last("channelId").map(Cow::into_owned);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(last("", BodyKind::Ignored, "x"), None);
        assert_eq!(last("channelId=a&channelId=b", BodyKind::Json, ""), some("b"));
        assert_eq!(last("x=a", BodyKind::Form, "channelId=b&channelId=c%20d"), some("c d"));
        assert_eq!(last("channelId=a", BodyKind::Form, "channelId=c"), some("a"));
        assert_eq!(last("channelId=a", BodyKind::Json, r#"{"channelId":"e"}"#), some("e"));
        assert_eq!(last("channelId=a", BodyKind::Json, "{}"), some("a"));
        assert_eq!(last("channelid=a", BodyKind::Json, "null"), None);
        assert_eq!(last("", BodyKind::Json, r#"{"channelId":"1","channelId":"2"}"#), some("2"));
    }

    #[test]
    fn yes_and_no_have_words() {
        for (query, is_true, is_false) in [
            ("share=Yes", true, false),
            ("share=true", true, false),
            ("share=yes&share=oFF", false, true),
            ("share=", false, false),
            ("other=1", false, false),
        ] {
            let params = of(query, BodyKind::Ignored, "");
            assert_eq!((params.is_true("share"), params.is_false("share")), (is_true, is_false));
        }
    }

    #[test]
    fn several_values_are_separated_by_commas_or_repeated() {
        assert_eq!(
            of("channel=a,b&channel=c", BodyKind::Ignored, "").all("channel"),
            ["a", "b", "c"]
        );
        assert_eq!(of("", BodyKind::Json, r#"{"channel":["a","b"]}"#).all("channel"), ["a", "b"]);
        assert_eq!(of("channel=x", BodyKind::Json, r#"{"channel":"a"}"#).all("channel"), ["a"]);
        assert!(of("", BodyKind::Ignored, "").all("channel").is_empty());
    }

    #[test]
    fn a_node_gets_the_elements_of_a_list_that_were_judged() {
        let sent = |query, kind, body| of(query, kind, body).query(None, None);
        assert_eq!(sent("source=a,+b&x=1&source=,c", BodyKind::Ignored, ""), "?x=1&source=a,b,c");
        assert_eq!(sent("channel=b", BodyKind::Form, "channel=a"), "?channel=a,b");
        assert_eq!(sent("channel=", BodyKind::Ignored, ""), "?channel=");
        assert_eq!(sent("channel=b", BodyKind::Json, r#"{"channel":["a"]}"#), "");
        for (query, kind, body) in [
            ("eventSource=%22channel:%22", BodyKind::Ignored, ""),
            ("eventSource=x(&eventSource=y", BodyKind::Ignored, ""),
            ("", BodyKind::Form, "channel=a%5C,b"),
            ("", BodyKind::Json, r#"{"eventSource":["deviceState:x,channel:"]}"#),
            ("", BodyKind::Json, r#"{"channel":"a,b"}"#),
            ("", BodyKind::Json, r#"{"channel":["a\nb"]}"#),
            ("channel=a", BodyKind::Json, r#"{"channel":5}"#),
        ] {
            let parsed = Params::parse(query, kind, body.as_bytes());
            assert_eq!(parsed.unwrap_err().status, 400, "{query} {body}");
        }
    }

    #[test]
    fn the_query_is_encoded_anew() {
        let mut params = of("a=1%0&b".trim_end_matches("%0&b"), BodyKind::Ignored, "");
        assert_eq!(params.query(Some(("id", "x y")), None), "?a=1&id=x%20y");
        params = of("api_key=u:p&a=%26&asteriskId=e", BodyKind::Ignored, "");
        assert_eq!(params.take("api_key").as_deref(), Some("u:p"));
        assert_eq!(params.take("asteriskId").as_deref(), Some("e"));
        assert_eq!(params.query(None, None), "?a=%26");
        assert_eq!(params.query(None, Some("a")), "");
    }

    #[test]
    fn hostile_parameters_are_refused() {
        for (query, kind, body) in [
            ("channelId=a%0d%0ab", BodyKind::Ignored, ""),
            ("a%0a=b", BodyKind::Ignored, ""),
            ("value=%00", BodyKind::Ignored, ""),
            ("callerId=a%0ab", BodyKind::Ignored, ""),
            ("a=%zz", BodyKind::Ignored, ""),
            ("", BodyKind::Form, "channelId=a%0ab"),
            ("", BodyKind::Form, "a=%"),
            ("", BodyKind::Json, "{"),
            ("", BodyKind::Json, "[]"),
            ("", BodyKind::Json, "5"),
            ("", BodyKind::Json, r#"{"channelId":5}"#),
            ("", BodyKind::Json, r#"{"channelId":null}"#),
            ("", BodyKind::Json, r#"{"endpoint":"a\r\nb"}"#),
        ] {
            let parsed = Params::parse(query, kind, body.as_bytes());
            assert_eq!(parsed.unwrap_err().status, 400, "{query} {body}");
        }
        let deep = "[".repeat(100_000);
        assert!(Params::parse("", BodyKind::Json, deep.as_bytes()).is_err());
        assert_eq!(of("value=a%0ab", BodyKind::Ignored, "").last("value").unwrap(), "a\nb");
    }

    #[test]
    fn types_of_bodies() {
        assert_eq!(BodyKind::of(Some("Application/JSON; charset=utf-8")), BodyKind::Json);
        assert_eq!(BodyKind::of(Some("application/x-www-form-urlencoded")), BodyKind::Form);
        assert_eq!(BodyKind::of(Some("text/plain")), BodyKind::Ignored);
        assert_eq!(BodyKind::of(None), BodyKind::Ignored);
    }
}
