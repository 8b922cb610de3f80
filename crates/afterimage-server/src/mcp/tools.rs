//! The tools. What makes pictures takes the parameters of a model of the `WaveSpeed` dialect, so that nothing is declared twice.

use crate::dialects::{Model, wavespeed};
use crate::model_sets::ModelSets;
use crate::parameters::{Kind, Parameter, json_schema};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

/// The id of a task.
pub const TASK_ID: &str = "task_id";

/// How long to wait for the end of a task.
pub const WAIT_SECONDS: &str = "wait_seconds";

/// How results are shown, see [`super::shown::ShownAs`].
pub const PICTURES: &str = "pictures";

/// What a model's clients say of its answer: a tool's answer waits as [`WAIT_SECONDS`] says, and shows what [`PICTURES`]
/// says.
const OF_OTHER_CLIENTS: [&str; 2] = ["enable_sync_mode", "enable_base64_output"];

/// Something that an assistant can do.
#[derive(Debug)]
pub struct AssistantTool {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    title: &'static str,
    /// What it is for, for models.
    description: &'static str,
    /// What it does.
    pub work: ToolWork,
}

/// What a tool does.
#[derive(Clone, Copy, Debug)]
pub enum ToolWork {
    /// Pictures, by the first of these models that the server has.
    Make(&'static [&'static str]),
    /// Tells how far a task is, or shows its pictures.
    Watch,
    /// Cancels a task.
    Cancel,
    /// Lists tasks.
    List,
}

/// All of them.
pub static TOOLS: [AssistantTool; 5] = [
    AssistantTool {
        name: "vary_picture",
        title: "Vary a picture",
        description: "Makes new pictures that look like a given one (FLUX Redux): the same subject, colours and mood, other \
                      details. An optional prompt restyles them. Give the picture by its http(s) address, as a data URI or \
                      as base64; a link from an earlier result works, too. Waits for the pictures, or tells the task's id \
                      for watch_task when they take longer.",
        work: ToolWork::Make(&["wavespeed-ai/flux-redux-dev", "wavespeed-ai/flux-redux-pro"]),
    },
    AssistantTool {
        name: "reshape_picture",
        title: "Reshape a picture by a prompt",
        description: "Changes a picture towards a prompt (image-to-image): strength says how far, 0 leaves it as it is and 1 \
                      keeps next to nothing of it. Without a picture the prompt alone makes one. Give the picture as for \
                      vary_picture. Waits for the pictures, or tells the task's id for watch_task when they take longer.",
        work: ToolWork::Make(&["wavespeed-ai/flux-srpo/image-to-image"]),
    },
    AssistantTool {
        name: "watch_task",
        title: "Watch a task",
        description: "Tells whether a task waits (and how many are before it), runs (and at which step), or has ended; then it \
                      shows the pictures. Waits for the end for as long as wait_seconds says; 0 answers at once.",
        work: ToolWork::Watch,
    },
    AssistantTool {
        name: "cancel_task",
        title: "Cancel a task",
        description: "Stops a task that waits or runs. One that has ended stays as it is.",
        work: ToolWork::Cancel,
    },
    AssistantTool {
        name: "list_tasks",
        title: "List tasks",
        description: "The tasks of this key, newest first, with id, status, model, time and prompt.",
        work: ToolWork::List,
    },
];

impl AssistantTool {
    /// The tool with this name, if a server with these `sets` of models has it.
    pub fn find(name: &str, sets: &ModelSets) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name && tool.parameters(sets).is_some())
    }

    /// What it takes; `None` when no model is served that it could use.
    fn parameters(&self, sets: &ModelSets) -> Option<Vec<Parameter>> {
        Some(match self.work {
            ToolWork::Make(models) => to_make(first_served(models, sets)?),
            ToolWork::Watch => to_watch().to_vec(),
            ToolWork::Cancel => to_cancel().to_vec(),
            ToolWork::List => wavespeed::predictions::list_parameters().to_vec(),
        })
    }

    fn annotations(&self) -> ToolAnnotations {
        let makes = matches!(self.work, ToolWork::Make(_));
        let only_reads = matches!(self.work, ToolWork::Watch | ToolWork::List);
        // Pictures are fetched from wherever they lie. Nothing is ever overwritten, and a second cancellation does nothing.
        ToolAnnotations::new().read_only(only_reads).destructive(false).idempotent(!makes).open_world(makes)
    }
}

/// What a server with these `sets` of models offers, in the protocol's form.
pub fn offered(sets: &ModelSets) -> Vec<Tool> {
    let described = |tool: &AssistantTool| {
        let schema = schema(&tool.parameters(sets)?);
        let described = Tool::new(tool.name, tool.description, schema).with_title(tool.title);
        Some(described.with_annotations(tool.annotations()))
    };
    TOOLS.iter().filter_map(described).collect()
}

fn schema(parameters: &[Parameter]) -> JsonObject {
    match json_schema(parameters) {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}

/// The first of the `models` that one of the `sets` serves.
pub fn first_served(models: &[&str], sets: &ModelSets) -> Option<&'static Model> {
    let served = |id: &&str| Model::find_served(&wavespeed::MODELS, sets, id).ok();
    models.iter().find_map(served)
}

/// What decides about the pictures of `model`: its parameters but those about the answer.
pub fn settings(model: &Model) -> Vec<Parameter> {
    let mut settings = model.parameters();
    settings.retain(|parameter| !OF_OTHER_CLIENTS.contains(&parameter.name));
    settings
}

/// What a tool takes that makes pictures by `model`.
pub fn to_make(model: &Model) -> Vec<Parameter> {
    let mut parameters = settings(model);
    parameters.extend([wait_seconds(), pictures()]);
    parameters
}

/// What [`ToolWork::Watch`] takes.
pub fn to_watch() -> [Parameter; 3] {
    [task_id(), wait_seconds(), pictures()]
}

/// What [`ToolWork::Cancel`] takes.
pub fn to_cancel() -> [Parameter; 1] {
    [task_id()]
}

fn task_id() -> Parameter {
    Parameter::required(TASK_ID, Kind::Text { max_bytes: 64 }, "The id of the task, as other tools tell it.")
}

fn wait_seconds() -> Parameter {
    let kind = Kind::Integer { range: 0..=600, default: Some(120) };
    Parameter::optional(WAIT_SECONDS, kind, "How long to wait for the end of the task before answering how far it is.")
}

fn pictures() -> Parameter {
    let kind = Kind::Choice { options: &["both", "content", "links"], aliases: &[], default: "both" };
    Parameter::optional(
        PICTURES,
        kind,
        "Whether the answer holds the pictures themselves (content), links to them, or both.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_sets::ModelSet;

    fn names(sets: &ModelSets) -> Vec<String> {
        offered(sets).into_iter().map(|tool| tool.name.into_owned()).collect()
    }

    #[test]
    fn tools_take_what_their_models_take() {
        for (name, model) in [("vary_picture", 1), ("reshape_picture", 2)] {
            let tool = offered(&ModelSets::default()).into_iter().find(|tool| tool.name == name).unwrap();
            let of_model = json_schema(&wavespeed::MODELS[model].parameters());
            let properties = tool.input_schema["properties"].as_object().unwrap();
            for (parameter, schema) in of_model["properties"].as_object().unwrap() {
                let expected = (!OF_OTHER_CLIENTS.contains(&parameter.as_str())).then_some(schema);
                assert_eq!(properties.get(parameter), expected, "{name}: {parameter}");
            }
            assert_eq!(properties[WAIT_SECONDS]["default"], 120);
            assert_eq!(tool.input_schema["required"], of_model["required"]);
            assert_eq!(tool.input_schema["type"], "object");
        }
    }

    #[test]
    fn a_server_offers_what_its_models_can_do() {
        assert_eq!(names(&ModelSets::default()).len(), TOOLS.len());
        let set = |serves: &str| ModelSet { name: "one".parse().unwrap(), serves: vec![serves.to_owned()] };
        let only = |serves: &str| ModelSets::new(vec![set(serves)]).unwrap();
        assert_eq!(
            names(&only("wavespeed-ai/flux-redux-pro")),
            ["vary_picture", "watch_task", "cancel_task", "list_tasks"]
        );
        let sets = only("fal-ai/flux-1/dev/redux");
        assert_eq!(names(&sets), ["watch_task", "cancel_task", "list_tasks"]);
        assert!(AssistantTool::find("vary_picture", &sets).is_none());
        assert!(AssistantTool::find("list_tasks", &sets).is_some());
    }
}
