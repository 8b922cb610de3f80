//! The parameters of a model, declared once: checking a request, the JSON schema, the OpenAPI document and the tables in
//! the documentation are all made from the same list.

mod check;
pub mod common;
mod echo;
mod list_text;
mod lora_list;
mod parameter;
mod parse;
mod schema;
mod values;

pub use check::Numbers;
pub use echo::echo;
pub use parameter::{Kind, Parameter};
pub use parse::{parse, parse_with};
pub use schema::json_schema;
pub use values::Values;
