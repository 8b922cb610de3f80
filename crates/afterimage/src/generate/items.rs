//! What is made of which pictures, and where it goes.

use super::read::check_standard_input;
use super::sources::{NamedSource, Sources};
use super::wanted::WantedPictures;
use crate::failure::{CommandFailure, describe};
use crate::flags::OutputFlags;
use crate::many_flags::ManyFlags;
use crate::origin::Origins;
use crate::output::{OutputPlan, ResultName, folder_of};
use std::fs;
use std::path::{Path, PathBuf};

/// A picture, or several that are mixed, and the files that are made of it.
#[derive(Debug)]
pub struct Item {
    /// The pictures.
    pub sources: Vec<PathBuf>,
    /// The files.
    pub plan: OutputPlan,
    /// Whether they were there when the command started, and stay.
    pub is_done: bool,
}

/// All that a command makes.
#[derive(Debug)]
pub struct Items {
    /// In the order in which they are made; at least one.
    pub all: Vec<Item>,
    /// Whether each stands for itself: one that cannot be used does not keep the others from being made.
    pub is_batch: bool,
    /// Where the contact sheet goes.
    pub sheet: Option<OutputPlan>,
}

impl Items {
    /// Decides where the results that are wanted of each picture go, which are called so, and checks that they can be written there.
    ///
    /// # Errors
    /// A failure with exit code 2 that names the flag.
    pub fn plan(
        sources: Sources,
        (wanted, kind): (&WantedPictures, &str),
        output: &OutputFlags,
        many: &ManyFlags,
        origins: &Origins,
    ) -> Result<Self, CommandFailure> {
        let sheet =
            many.contact_sheet.as_deref().map(|path| OutputPlan::file(path, "contact_sheet", origins)).transpose()?;
        let planned = |name: ResultName<'_>| OutputPlan::new(output, name, wanted.results(), origins);
        let (items, is_batch) = match sources {
            Sources::Together { paths, named_after } => {
                let plan = planned(ResultName::after(&named_after, kind))?;
                check_standard_input(&paths)?;
                (vec![Item { sources: paths, plan, is_done: false }], false)
            }
            Sources::Each(each) => {
                let named: Vec<_> = each.iter().map(|source| source.path.clone()).collect();
                check_standard_input(&[named, wanted.beside.clone()].concat())?;
                check_folder(&each, output, origins)?;
                let item = |source: NamedSource| {
                    let plan = planned(ResultName { stem: &source.name, kind })?;
                    let is_done = plan.is_there() && !many.replace;
                    let sources = [vec![source.path], wanted.beside.clone()].concat();
                    Ok(Item { sources, plan, is_done })
                };
                (each.into_iter().map(item).collect::<Result<_, _>>()?, true)
            }
        };
        Ok(Self { all: items, is_batch, sheet })
    }
}

/// Checks that `--output` is a folder for the results of several pictures, which is made if need be, and none of those that
/// were searched for pictures: the next run would take results for them.
fn check_folder(sources: &[NamedSource], output: &OutputFlags, origins: &Origins) -> Result<(), CommandFailure> {
    let refuse = |problem: String| CommandFailure::bad_input(origins.subject("output"), problem);
    let Some(folder) = output.output.as_deref().filter(|path| *path != Path::new("-")) else {
        return Err(refuse("missing; name a folder for the results of several pictures".to_owned()));
    };
    if folder.exists() && !folder.is_dir() {
        return Err(refuse(format!("{} is no folder, and the results are several files", folder.display())));
    }
    fs::create_dir_all(folder).map_err(|error| refuse(format!("{}: {}", folder.display(), describe(&error))))?;
    let is_same = |other: &Path| matches!((folder.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if sources.iter().any(|source| source.is_listed && is_same(folder_of(&source.path))) {
        let problem = "pictures are looked for there, and the next run would find results; name another folder";
        return Err(refuse(format!("{}: {problem}", folder.display())));
    }
    Ok(())
}
