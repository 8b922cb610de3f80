//! A field's problem as services built on pydantic describe it.

use serde::Serialize;
use utoipa::ToSchema;

/// One field that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Where it is: `body` or `query`, then names; the place alone for a problem of all of it.
    pub loc: Vec<String>,
    /// What is wrong with it and what would be right.
    pub msg: String,
    /// Category.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

impl FieldProblem {
    /// A problem of `field` in `place`; in its name a dot leads from an object to its part, a number in brackets from a list
    /// to its item.
    pub fn new(place: &str, field: Option<&str>, kind: &'static str, message: impl Into<String>) -> Self {
        let names = field.into_iter().flat_map(|field| field.split(['.', '[', ']'])).filter(|name| !name.is_empty());
        let loc = std::iter::once(place).chain(names).map(str::to_owned).collect();
        Self { loc, msg: message.into(), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_list_of_names() {
        let of = |field| FieldProblem::new("body", field, "missing", "").loc.join("/");
        assert_eq!(of(None), "body");
        assert_eq!(of(Some("image_size.width")), "body/image_size/width");
        assert_eq!(of(Some("loras[0].path")), "body/loras/0/path");
    }
}
