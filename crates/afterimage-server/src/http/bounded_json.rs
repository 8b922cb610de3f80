//! JSON objects read into memory that is bounded by the bytes they came in.
//!
//! A tree of JSON can take a hundred times the bytes of its text: a map with one entry is a node of hundreds of bytes,
//! and `{"":0}` makes one out of six. So only the fields that somebody will look at are built, of a bounded number of
//! nodes; the others are checked and skipped.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Values of a body, nested ones counted, that are built at most.
const NODES: usize = 4096;

/// Bytes of a name in a nested object.
const NAME_BYTES: usize = 1024;

/// Arrays and objects in each other.
const DEPTH: usize = 120;

/// Reads `text` as an object and returns those of its fields that `wanted` names. Of fields that are there several times
/// the last one counts, as everywhere.
///
/// # Errors
/// When the text is not JSON, not an object, or a wanted field has too many or too deeply nested values.
pub fn read(text: &[u8], wanted: &[&str]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let object = Object { wanted, nodes: NODES }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(object)
}

/// The outermost object.
struct Object<'a> {
    wanted: &'a [&'a str],
    nodes: usize,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key_seed(WantedName(self.wanted))? {
            match name {
                Some(name) => {
                    let value = fields.next_value_seed(Tree { nodes: &mut self.nodes, depth: DEPTH })?;
                    object.insert(name, value);
                }
                None => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(object)
    }
}

/// A name, if it is one of those that are wanted.
struct WantedName<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for WantedName<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for WantedName<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.contains(&name).then(|| name.to_owned()))
    }
}

/// Any value, of at most `nodes` nodes, which it takes away, and `depth` levels.
struct Tree<'a> {
    nodes: &'a mut usize,
    depth: usize,
}

impl Tree<'_> {
    fn deeper<E: Error>(&mut self) -> Result<Tree<'_>, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom(format_args!("more than {DEPTH} values in each other")))?;
        Ok(Tree { nodes: self.nodes, depth })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.nodes.checked_sub(1);
        *self.nodes = left.ok_or_else(|| D::Error::custom(format_args!("more than {NODES} values")))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper()?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key_seed(ShortName)? {
            let value = fields.next_value_seed(self.deeper()?)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// A name of bounded length.
struct ShortName;

impl<'de> DeserializeSeed<'de> for ShortName {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ShortName {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
        if name.len() > NAME_BYTES {
            return Err(E::custom(format_args!("a name of more than {NAME_BYTES} bytes")));
        }
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn only_wanted_fields_are_built() {
        let text = br#"{"a": 1, "b": [{}, "x"], "c": null, "a": {"b": 2}}"#;
        assert_eq!(Value::Object(read(text, &["a", "c", "d"]).unwrap()), json!({"a": {"b": 2}, "c": null}));
        assert!(read(br#"{"b": [1,]}"#, &["a"]).is_err(), "what is skipped is read all the same");
        assert!(read(b"{} {}", &["a"]).is_err());
    }

    #[test]
    fn trees_are_bounded() {
        let with = |value: &str| read(format!("{{\"a\": {value}}}").as_bytes(), &["a"]);
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert!(with(&list(NODES - 1)).is_ok());
        assert!(with(&list(NODES)).unwrap_err().to_string().contains("more than 4096 values"));
        assert!(with(&format!("[{}{{}}]", r#"{"":0},"#.repeat(NODES))).is_err());
        let nested = |depth: usize| format!("{}1{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
        assert!(with(&nested(DEPTH / 2)).is_ok());
        assert!(with(&nested(DEPTH / 2 + 1)).is_err());
        assert!(with(&nested(100_000)).is_err());
        let named = |bytes: usize| format!("{{\"{}\": 1}}", "n".repeat(bytes));
        assert!(with(&named(NAME_BYTES)).is_ok());
        assert!(with(&named(NAME_BYTES + 1)).is_err());
        // Two fields share the nodes.
        let two = format!("{{\"a\": {0}, \"b\": {0}}}", list(NODES / 2 + 1));
        assert!(read(two.as_bytes(), &["a"]).is_ok());
        assert!(read(two.as_bytes(), &["a", "b"]).is_err());
        // What is skipped may be anything.
        assert!(read(format!("{{\"b\": {}, \"a\": 1}}", nested(100_000)).as_bytes(), &["a"]).is_ok());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// serde_json's own tree is the oracle.
        #[test]
        fn what_fits_is_read_as_everybody_reads_it(fields in prop::collection::btree_map(any::<String>(), any_json(), 0..6)) {
            let object: Map<String, Value> = fields.into_iter().collect();
            let text = Value::Object(object.clone()).to_string();
            let expected: Map<String, Value> = serde_json::from_str(&text).unwrap();
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            prop_assert_eq!(read(text.as_bytes(), &names).unwrap(), expected.clone());
            if let Some((first, others)) = names.split_first() {
                let rest = read(text.as_bytes(), others).unwrap();
                prop_assert!(!rest.contains_key(*first));
                prop_assert!(rest.iter().all(|(name, value)| expected[name] == *value) && rest.len() == others.len());
            }
        }

        #[test]
        fn what_is_no_json_is_refused_as_everybody_does(text in r#"\{("a"|"b\\u00e4"|:|,|\[|\]|\{|\}|1|-|0|1e-9|null|true|tru|"|\\| ){0,12}\}?"#) {
            let expected = serde_json::from_str::<Map<String, Value>>(&text);
            let read = read(text.as_bytes(), &["a", "b\u{e4}"]);
            prop_assert_eq!(read.is_ok(), expected.is_ok(), "{:?} {:?}", read, expected);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes, &["a"]);
        }
    }
}
